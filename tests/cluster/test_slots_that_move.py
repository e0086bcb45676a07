"""A slot moves to another node while its names are in use: nothing is lost, and others go on undisturbed."""

import asyncio
import operator
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from redis.crc import key_slot

from shared.concurrency import Lock, Queue, Session
from shared.concurrency.session.server_errors import fields
from tests.instruments.carrying import Carried, Carrier
from tests.instruments.inside import participant_of
from tests.instruments.nodes import Nodes
from tests.instruments.waiting import until

pytestmark = pytest.mark.slow

LONGEST_STANDSTILL = 15.0
"""Ten times what is seen on a busy machine; leases aside, which rest for a time to live."""


@pytest.fixture
async def sessions(nodes: Nodes) -> AsyncIterator[tuple[Session, Session]]:
    async with Session.open(nodes.url, ttl=3) as first, Session.open(nodes.url, ttl=3) as second:
        yield first, second


def names_of(nodes: Nodes) -> list[str]:
    """Two names at each node."""
    tag = f"m-{secrets.token_hex(4)}"
    return [nodes.name_at(number, tag=f"{tag}{letter}") for number in range(3) for letter in "ab"]


def check(carried: Carried) -> None:
    """Everything that was put was got, and once: no session was lost."""
    assert carried.got == carried.put
    assert set(carried.got.values()) == {1}
    assert max(carried.standstill.values()) < LONGEST_STANDSTILL


async def test_a_slot_that_is_moved_by_hand(nodes: Nodes, sessions: tuple[Session, Session]) -> None:
    names = names_of(nodes)
    moving = names[0]
    slot = key_slot(moving.encode())
    async with Carrier(*sessions, names).work() as carried:
        await carried.goes_on(moving)
        for target in (1, 2, 0):
            await asyncio.to_thread(nodes.move, slot, target)
            assert nodes.owner(slot) == target
            await carried.goes_on(moving)
    check(carried)
    assert carried.leases_lost == 0


async def test_calls_wait_while_a_slot_is_on_its_way(nodes: Nodes, sessions: tuple[Session, Session]) -> None:
    """Half-way some keys are at the one node and some at the other: a script would find neither all nor none."""
    moving, *others = names_of(nodes)
    slot = key_slot(moving.encode())
    producer, consumer = sessions
    async with Carrier(producer, consumer, others).work() as carried:
        queue = Queue(producer, moving, int)
        await queue.put_many(range(50))
        nodes.begin_to_move(slot, 0, 1)
        keys = nodes.ask(0, "CLUSTER", "GETKEYSINSLOT", slot, 100)
        nodes.ask(0, "MIGRATE", "127.0.0.1", nodes.ports[1], keys[0], 0, 10_000)
        put = asyncio.create_task(queue.put(50))
        for other in others:
            await carried.goes_on(other)
        assert not put.done()
        await asyncio.to_thread(nodes.move_keys, slot, 0, 1)
        await asyncio.to_thread(nodes.end_move, slot, 0, 1)
        async with asyncio.timeout(30):
            await put
            got = [await Queue(consumer, moving, int).get() for _ in range(51)]
            assert [delivery.item for delivery in got] == list(range(51))
            for delivery in got:
                await delivery.ack()
    check(carried)
    nodes.move(slot, 0)


async def test_a_held_lease_and_a_waiting_get_move_along(nodes: Nodes, sessions: tuple[Session, Session]) -> None:
    moving = names_of(nodes)[0]
    slot = key_slot(moving.encode())
    producer, consumer = sessions
    getting = asyncio.create_task(Queue(consumer, moving, int).get())
    async with Lock(producer, moving) as lease:
        waiting = asyncio.create_task(Lock(consumer, moving).acquire())
        for target in (1, 0):
            await asyncio.to_thread(nodes.move, slot, target)
            await asyncio.sleep(4)  # longer than the time to live: it is renewed at the other node
            lease.check()
        assert not waiting.done()
    async with asyncio.timeout(30):
        await Queue(producer, moving, int).put(1)
        delivery = await getting
        assert (delivery.item, delivery.attempt) == (1, 1)
        await delivery.ack()
        await (await waiting).release()


async def test_a_name_is_announced_at_the_other_node_and_queries_it(
    nodes: Nodes, sessions: tuple[Session, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reconnect: what was published in the meantime may be lost."""
    moving, *others = names_of(nodes)
    queues = [Queue(sessions[0], name, int) for name in (moving, *others)]
    for queue in queues:
        await queue.put(1)
    parts = {name: participant_of(sessions[0], name) for name in (moving, *others)}
    resynced: list[str] = []

    def note(name: str, resync: Callable[[], None]) -> None:
        resynced.append(name)
        resync()

    for name, part in parts.items():
        monkeypatch.setattr(part, "resync", partial(note, name, part.resync))
    runs = [run_id_at(nodes, number) for number in range(3)]
    assert parts[moving].member.run_id == runs[0]
    await asyncio.to_thread(nodes.move, key_slot(moving.encode()), 1)
    assert await queues[0].qsize() == 1
    assert parts[moving].member.run_id == runs[1]
    assert resynced == [moving]
    nodes.move(key_slot(moving.encode()), 0)


def run_id_at(nodes: Nodes, number: int) -> str:
    """The run of the server that a node is."""
    return fields(nodes.ask(number, "INFO", "server"))["run_id"]


async def test_a_slot_that_moves_at_once(nodes: Nodes, sessions: tuple[Session, Session]) -> None:
    """Valkey 9 moves a slot whole: its keys are never at two nodes."""
    names = names_of(nodes)
    moving = names[0]
    slot = key_slot(moving.encode())
    try:
        nodes.ask(0, "CLUSTER", "GETSLOTMIGRATIONS")
    except Exception as error:  # noqa: BLE001  # whatever an older server says
        pytest.skip(f"the server moves no slot at once: {error}")
    async with Carrier(*sessions, names).work() as carried:
        await carried.goes_on(moving)
        for source, target in ((0, 1), (1, 2), (2, 0)):
            nodes.ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", nodes.id(target))
            await until(partial(asyncio.to_thread, nodes.owner, slot, target), partial(operator.eq, target))
            await carried.goes_on(moving)
    check(carried)
