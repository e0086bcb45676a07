"""One session uses names that all nodes serve: few connections, two threads, and each notification once."""

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.crc import key_slot

from shared.concurrency import EffectRefused, Event, Lock, Queue, ReadersWritersLease, ServerRefused, Session
from shared.concurrency.session.session import process_of
from shared.local.embedded import EmbeddedServer
from tests.instruments.nodes import Nodes, free_ports
from tests.instruments.waiting import until

pytestmark = pytest.mark.slow

NAMES = 100


@pytest.fixture
def name() -> str:
    return f"c-{secrets.token_hex(4)}"


@pytest.fixture
async def session(nodes: Nodes) -> AsyncIterator[Session]:
    async with Session.open(nodes.url) as session:
        yield session


@pytest.fixture
async def other(nodes: Nodes) -> AsyncIterator[Session]:
    async with Session.open(nodes.url) as other:
        yield other


def connections(nodes: Nodes) -> Iterator[int]:
    """How many clients each node has, that of the question aside."""
    for number in range(len(nodes.servers)):
        listed = nodes.ask(number, "CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
        listed += nodes.ask(number, "CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
        yield sum("cmd=client" not in line for line in listed)


async def test_a_hundred_queues_and_leases_need_two_connections_to_a_node_and_two_threads(
    nodes: Nodes, session: Session, name: str
) -> None:
    queues = [Queue(session, f"{name}-{number}", int) for number in range(NAMES)]
    leases = [ReadersWritersLease(session, f"{name}-{number}") for number in range(NAMES)]
    assert {nodes.owner(key_slot(f"{name}-{number}".encode())) for number in range(NAMES)} == {0, 1, 2}

    async def work(queue: Queue[int], lease: ReadersWritersLease) -> None:
        async with lease.write():
            for number in range(10):
                await queue.put(number)
            for number in range(10):
                async with await queue.get() as item:
                    assert item == number

    held = [await lease.read().acquire() for lease in leases]
    process_of(session).renew_within(0)

    async def connected() -> list[int]:
        return await asyncio.to_thread(lambda: list(connections(nodes)))

    await until(connected, lambda each: each == [2, 2, 2])
    for each in held:
        each.check()
        await each.release()
    await asyncio.gather(*map(work, queues, leases))
    assert await connected() == [2, 2, 2]
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("weir")]
    assert ours == ["weir-heartbeat"]


async def test_a_wake_up_is_received_once_whatever_node_it_comes_from(
    session: Session, other: Session, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PUBLISH reaches each link of a session: it acts on the one that serves the name."""
    parts, received = process_of(other)._parts, Counter[bytes]()
    dispatch = parts.dispatch

    def count(notification: bytes) -> None:
        received[notification] += 1
        dispatch(notification)

    monkeypatch.setattr(parts, "dispatch", count)
    queues = [Queue(other, f"{name}-{number}", int, maxsize=1) for number in range(NAMES)]
    for queue in queues:
        await queue.put(0)  # the other session is subscribed at all nodes
    got: list[tuple[int, int]] = []

    async def take(number: int) -> None:
        queue = Queue(session, f"{name}-{number}", int)
        for _ in range(20):
            async with await queue.get() as item:
                got.append((number, item))

    async def put(number: int) -> None:
        for item in range(1, 20):
            await queues[number].put(item)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(take, range(NAMES)), *map(put, range(NAMES)))
    admitted = {notification: n for notification, n in received.items() if notification.startswith(b"admitted")}
    assert admitted
    assert set(admitted.values()) == {1}, admitted
    assert sorted(got) == [(number, item) for number in range(NAMES) for item in range(20)]


async def test_locks_and_events_of_two_sessions(session: Session, other: Session, name: str) -> None:
    inside: dict[str, int] = {}

    async def enter(at: Session, lock: str) -> None:
        for _ in range(10):
            async with Lock(at, lock):
                assert inside.get(lock, 0) == 0
                inside[lock] = 1
                await asyncio.sleep(0)
                inside[lock] = 0

    async with asyncio.timeout(60):
        await asyncio.gather(*(enter(at, f"{name} {number}") for at in (session, other) for number in range(20)))
        events = [Event(session, f"{name} {number}") for number in range(20)]
        waiting = [asyncio.create_task(event.wait()) for event in events]
        for number in range(20):
            await Event(other, f"{name} {number}").set()
        await asyncio.gather(*waiting)


async def test_results_and_effects_within_a_group(session: Session, other: Session, name: str) -> None:
    first = Queue(session, "first", int, group=name)
    second = Queue(session, "second", int, group=name)
    foreign = Queue(session, f"{name}-elsewhere", int)
    asked = await Queue(other, "first", int, group=name).submit(7)
    async with asyncio.timeout(30):
        delivery = await first.get()
        with pytest.raises(EffectRefused, match="slot"):
            async with delivery:
                delivery.effects.put(foreign, 1)
        delivery = await first.get()
        delivery.effects.put(second, 8)
        await delivery.ack(result=70)
        assert await asked == 70
        async with await second.get() as item:
            assert item == 8


async def test_a_plain_address_of_a_node_says_what_to_write(nodes: Nodes) -> None:
    async with Session.open(f"redis://127.0.0.1:{nodes.ports[0]}/0") as session:
        queue = Queue(session, nodes.name_at(1), int)
        with pytest.raises(ServerRefused, match=r"redis\+cluster://"):
            await queue.put(1)


async def test_a_server_that_is_no_node_says_what_to_write(tmp_path_factory: pytest.TempPathFactory) -> None:
    (port,) = free_ports(1)
    with (
        EmbeddedServer(tmp_path_factory.mktemp("single"), port=port),
        pytest.raises(ServerRefused, match=r"redis://127.0.0.1"),
    ):
        async with Session.open(f"redis+cluster://127.0.0.1:{port}"):
            pass
