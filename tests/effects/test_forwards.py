"""Puts that travel with an acknowledgement: in with it or not at all, waiting without an owner, holding back."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError  # noqa: A004

from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, EffectRefused, Queue, QueueShutDown, QueueStatistics, Session
from shared.local.binary import server_binary
from shared.local.parent_death import tied
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.inside import is_held
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until
from tests.instruments.workers import working


def stages(session: Session, name: str, maxsize: int = 2) -> tuple[Queue[int], Queue[int]]:
    return Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=maxsize)


async def passed_on(first: Queue[int], second: Queue[int], *items: int) -> None:
    """Put items into the first, and forward each with its acknowledgement."""
    for item in items:
        await first.put(item)
        async with (delivery := await first.get()) as number:
            delivery.effects.put(second, number)


async def taken(queue: Queue[int]) -> int:
    async with asyncio.timeout(5), await queue.get() as item:
        return item


async def test_it_goes_in_with_the_acknowledgement(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name)
    await first.put(1)
    delivery = await first.get()
    delivery.effects.put(second, 10)
    delivery.effects.put(second, 11)
    assert await second.qsize() == 0
    await delivery.ack()
    assert await second.qsize() == 2
    assert [await taken(second) for _ in range(2)] == [10, 11]
    for queue in (first, second):
        (await take_census(client, queue.name)).check()


async def test_a_full_queue_has_it_wait_for_room_and_the_bound_holds(
    session: Session, client: Redis, name: str
) -> None:
    first, second = stages(session, name)
    # Whoever handles one message at once may have one waiting, and takes nothing more while there are two.
    await passed_on(first, second, 1, 2, 3, 4)
    now = await second.statistics()
    assert (now.pending, now.puts_waiting, now.forwards_waiting, now.put_total, now.leased) == (2, 2, 2, 4, 0)
    (await take_census(client, second.name)).check()
    assert [await taken(second) for _ in range(4)] == [1, 2, 3, 4]
    now = await second.statistics()
    assert (now.pending, now.puts_waiting, now.forwards_waiting, now.acked_total) == (0, 0, 0, 4)


async def test_the_bound_holds_in_a_queue_that_is_first_put_to_while_another_is_opened(
    url: str, tmp_path: Path, name: str
) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        third = Queue(session, f"{name}-3", int, maxsize=1)
        await first.put_many([1, 2])
        deliveries = [await first.get() for _ in range(2)]
        deliveries[0].effects.put(second, 1)
        for item in range(3):
            deliveries[1].effects.put(third, item)
        async with proxy.holding("register") as hold:
            acking = [asyncio.create_task(deliveries[0].ack())]
            await hold.arrived.wait()
            acking.append(asyncio.create_task(deliveries[1].ack()))
            await asyncio.sleep(0)  # it is submitted
        await asyncio.gather(*acking)
        now = await third.statistics()
        assert (now.pending, now.forwards_waiting) == (1, 2)


async def test_it_is_let_in_in_its_turn(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    await passed_on(first, second, 1, 2)
    waiting = []
    for item in (10, 11):
        waiting.append(asyncio.create_task(theirs.put(item)))
        await until(second.statistics, _waiting(2 * item - 19))
        await passed_on(first, second, item + 10)
    assert [await taken(second) for _ in range(6)] == [1, 2, 10, 20, 11, 21]
    await asyncio.gather(*waiting)


def _waiting(count: int) -> Callable[[QueueStatistics], bool]:
    return lambda now: now.puts_waiting == count


async def test_it_is_let_in_though_its_process_is_gone(url: str, session: Session, name: str) -> None:
    async with Session.open(url) as gone:
        await passed_on(*stages(gone, name), 1, 2, 3)
    second = Queue(session, f"{name}-2", int)
    assert (await second.statistics()).forwards_waiting == 1
    assert [await taken(second) for _ in range(3)] == [1, 2, 3]


async def test_nothing_more_is_taken_while_more_than_the_concurrency_wait_elsewhere(
    session: Session, other: Session, name: str
) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    await first.put_many(range(50))

    async def pass_on(delivery: Delivery[int]) -> None:
        delivery.effects.put(second, delivery.item)

    worker = Worker(first, pass_on, concurrency=3)
    working = asyncio.create_task(worker.run())
    now = await until(theirs.statistics, lambda now: now.forwards_waiting > 3)
    # What was in hand when it got stuck follows; nothing that was pending then is taken.
    await until(first.statistics, lambda now: now.leased == 0)
    pending = (await first.statistics()).pending
    assert pending > 10  # a few were in hand, and a few were read ahead
    for _ in range(20):
        now = await first.statistics()
        assert (now.pending, now.leased) == (pending, 0)
    got = [await taken(theirs) for _ in range(50)]
    assert got == list(range(50))
    await worker.stop(5)
    await working


async def test_what_is_put_into_the_queue_it_came_from_holds_nothing_back(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    await queue.put_many([0, 1])
    seen: list[int] = []

    async def again(delivery: Delivery[int]) -> None:
        seen.append(delivery.item)
        if delivery.item < 40:
            # Two for one: some of them find the queue full.
            delivery.effects.put(queue, delivery.item + 10)
            if delivery.item < 10:
                delivery.effects.put(queue, delivery.item + 2)

    worker = Worker(queue, again, concurrency=1)
    working = asyncio.create_task(worker.run())
    await queue.join()
    expected: list[int] = []
    left = [0, 1]
    while left:
        item = left.pop()
        expected.append(item)
        left += [item + 10] * (item < 40) + [item + 2] * (item < 10)
    assert sorted(seen) == sorted(expected)
    await worker.stop(5)
    await working


@pytest.mark.usefixtures("only_notified")
async def test_it_wakes_who_waits_there(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    await theirs.statistics()
    waiting = asyncio.create_task(taken(theirs))
    await until(lambda: _idle(other, second.name), bool)
    async with asyncio.timeout(100):
        await passed_on(first, second, 7)
        assert await waiting == 7


async def _idle(session: Session, name: str) -> bool:
    return inside.is_idle(session, name)


async def test_a_paused_queue_takes_it_and_hands_out_nothing(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    handled: asyncio.Queue[int] = asyncio.Queue()

    async def handle(delivery: Delivery[int]) -> None:
        handled.put_nowait(delivery.item)

    theirs = Queue(other, second.name, int)
    async with working(theirs, handle):
        await until(lambda: _rests(second, theirs), bool)  # only a session that rests is handed anything
        await second.pause()
        await passed_on(first, second, 7)
        now = await second.statistics()
        assert (now.pending, now.leased, now.put_total) == (1, 0, 1)
        assert handled.empty()
        await second.resume()
        async with asyncio.timeout(5):
            assert await handled.get() == 7


async def _rests(observer: Queue[int], queue: Queue[int]) -> bool:
    key = inside.member_at(observer).keys["handed"].decode()
    handed = await inside.command_at(observer, "HGET", key, inside.session_id_at(queue))
    return bool(handed == b"")


async def test_it_is_handed_to_a_worker_that_waits(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    handled: asyncio.Queue[int] = asyncio.Queue()

    async def handle(delivery: Delivery[int]) -> None:
        delivery.effects.incrby(f"{{{name}}}:sum", delivery.item)
        handled.put_nowait(delivery.item)

    worker = Worker(Queue(other, second.name, int), handle)
    working = asyncio.create_task(worker.run())
    await until(lambda: _idle(other, second.name), bool)
    for item in range(20):
        await passed_on(first, second, item)
        assert await handled.get() == item
    await worker.stop(5)
    await working
    assert (await second.statistics()).acked_total == 20


async def test_a_queue_that_is_shut_down_refuses_it_and_the_delivery_is_still_ours(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await second.shutdown()
    await first.put(1)
    delivery = await first.get()
    delivery.effects.incrby(f"{{{name}}}:n")
    delivery.effects.put(second, 1)
    with pytest.raises(EffectRefused, match="shut down"):
        await delivery.ack()
    assert is_held(delivery)
    await second.reopen()
    await delivery.ack()
    assert await second.qsize() == 1


async def test_what_waits_is_accepted_and_a_shutdown_lets_it_in(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, 3, 4)
    waiting = asyncio.create_task(second.put(9))
    await until(second.statistics, lambda now: now.puts_waiting == 3)
    await second.shutdown()
    with pytest.raises(QueueShutDown):
        await waiting
    assert [delivery.item async for delivery in acknowledged(second)] == [1, 2, 3, 4]


async def acknowledged(queue: Queue[int]) -> AsyncIterator[Delivery[int]]:
    async for delivery in queue:
        await delivery.ack()
        yield delivery


async def test_an_immediate_shutdown_makes_dead_letters_of_it(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, 3, 4)
    await second.shutdown(immediate=True)
    assert sorted(letter.body for letter in await second.dead_letters()) == [b"1", b"2", b"3", b"4"]
    (await take_census(client, second.name)).check()
    await second.reopen()
    assert await second.replay() == 2
    assert [await taken(second) for _ in range(2)] == [1, 2]
    assert await second.replay() == 2


async def test_join_waits_for_what_waits(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, 3)
    joining = asyncio.create_task(second.join())
    for expected in (1, 2):
        assert await taken(second) == expected
        assert not joining.done()
    assert await taken(second) == 3
    async with asyncio.timeout(5):
        await joining


async def test_a_resize_lets_it_in(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, 3, 4)
    await second.resize(10)
    now = await second.statistics()
    assert (now.pending, now.forwards_waiting, now.put_total) == (4, 0, 4)


async def test_a_notice_that_is_lost_is_made_up_for(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    await passed_on(first, second, 1, 2, 3, 4)
    assert inside.is_backpressured(first)
    inside.forget_forwards(second)  # as if nobody had told us
    await first.put(5)
    assert [await taken(theirs) for _ in range(4)] == [1, 2, 3, 4]
    assert await taken(first) == 5
    assert not inside.is_backpressured(first)


async def test_a_look_that_fails_is_not_the_last(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, 3, 4)
    inside.forget_forwards(second)  # as if nobody had told us
    bodies = inside.member_at(second).keys["bodies"]
    await client.rename(bodies, bodies + b":away")
    await client.set(bodies, "spoilt")
    asked = inside.member_at(second).call
    failed = asyncio.Event()

    async def ask(*arguments: Any, **more: Any) -> Any:
        try:
            return await asked(*arguments, **more)
        except ConcurrencyError:
            failed.set()
            raise

    inside.replace_call(second, ask)
    await failed.wait()
    await client.rename(bodies + b":away", bodies)
    await first.put(5)
    await second.resize(10)
    assert await taken(first) == 5


async def test_a_refusal_is_sent_though_nothing_is_taken(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name)
    await client.set(f"{{{name}}}:text", "abc")
    await first.put_many([0, 1])
    last = asyncio.Event()

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 0:
            for item in range(6):
                delivery.effects.put(second, item)
        else:
            await last.wait()
            delivery.effects.incrby(f"{{{name}}}:text")

    worker = Worker(first, handle, concurrency=2)
    working = asyncio.create_task(worker.run())
    await until(first.statistics, lambda now: (now.acked_total, now.leased) == (1, 1))
    assert inside.is_backpressured(first)
    last.set()
    await until(first.statistics, lambda now: now.nacked_total == 1)
    await worker.stop(5)
    await working


async def test_a_full_cycle_stands_still_and_statistics_say_so(session: Session, other: Session, name: str) -> None:
    one, two = Queue(session, name, int, maxsize=1), Queue(other, f"{name}-2", int, maxsize=1)
    there, back = Queue(session, two.name, int), Queue(other, one.name, int)

    def to(queue: Queue[int]) -> Callable[[Delivery[int]], Awaitable[None]]:
        async def pass_on(delivery: Delivery[int]) -> None:
            delivery.effects.put(queue, delivery.item)
            delivery.effects.put(queue, delivery.item + 1)  # more go in than come out

        return pass_on

    workers = [Worker(one, to(there), concurrency=1), Worker(two, to(back), concurrency=1)]
    working = [asyncio.create_task(worker.run()) for worker in workers]
    await one.put(0)
    for queue in (one, two):
        await until(queue.statistics, lambda now: now.pending == now.maxsize and now.forwards_waiting > 1)
    for worker in workers:
        await worker.stop(5)
    await asyncio.gather(*working)


# --- groups and Cluster -----------------------------------------------------------------------------------------------


async def test_queues_of_a_group_share_a_tag_and_nothing_else(session: Session, client: Redis, name: str) -> None:
    alone, first, second = (
        Queue(session, name, int),
        Queue(session, "first", int, group=name),
        Queue(session, "second", int, group=name),
    )
    for number, queue in enumerate((alone, first, second)):
        await queue.put(number)
    keys = {key async for key in client.scan_iter(match=f"{{{name}}}*:pending")}
    assert keys == {f"{{{name}}}{rest}:pending".encode() for rest in ("", "/first", "/second")}
    assert [await taken(queue) for queue in (alone, first, second)] == [0, 1, 2]
    waiting = asyncio.create_task(taken(second))
    await passed_on(first, second, 5)
    assert await waiting == 5


@pytest.mark.parametrize("group", ["", "a/b", "{a}", "x" * 65])
async def test_a_group_is_named_as_a_queue_is(session: Session, name: str, group: str) -> None:
    with pytest.raises(ValueError, match="a name is"):
        Queue(session, name, int, group=group)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """A Cluster of one node, which refuses what would cross slots."""
    port, bus = free_port(), free_port()
    command = [str(server_binary()), "--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus)]
    process = subprocess.Popen(
        [*command, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL, preexec_fn=tied(),  # noqa: PLW1509
    )  # fmt: skip
    url = f"redis://127.0.0.1:{port}"
    try:
        asyncio.run(form_cluster(url))
        yield url
    finally:
        process.kill()
        process.wait()


async def form_cluster(url: str) -> None:
    async with Redis.from_url(url) as client:
        await until(lambda: answers(client), bool)
        await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(lambda: client.execute_command("CLUSTER INFO"), lambda found: found["cluster_state"] == "ok")


async def answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except ConnectionError:
        return False


@pytest.mark.slow
async def test_on_a_cluster_a_key_in_another_slot_is_refused_before_anything_is_written(node: str) -> None:
    async with Session.open(node) as session, Redis.from_url(node) as client:
        jobs, apart = Queue(session, "jobs", int), Queue(session, "apart", int)
        await jobs.put(1)
        delivery = await jobs.get()
        delivery.effects.incrby("{jobs}:n")
        delivery.effects.incrby("elsewhere")
        with pytest.raises(EffectRefused, match=r"another slot.*begin keys with \{jobs\}"):
            await delivery.ack()
        assert is_held(delivery)
        assert await client.get("{jobs}:n") is None
        await delivery.nack()
        delivery = await jobs.get()
        delivery.effects.put(apart, 1)
        with pytest.raises(EffectRefused, match="one group="):
            await delivery.ack()
        await delivery.dead_letter("a test")


@pytest.mark.slow
async def test_on_a_cluster_queues_of_a_group_chain(node: str) -> None:
    async with Session.open(node) as session:
        first = Queue(session, "first", int, group="orders")
        second = Queue(session, "second", int, group="orders", maxsize=1)
        await passed_on(first, second, 1, 2)
        assert [await taken(second) for _ in range(2)] == [1, 2]
