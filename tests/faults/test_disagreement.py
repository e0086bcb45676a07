"""Client and server hold different things: after a lost answer, a shutdown that is over again, data that is older."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Event,
    LeaseLost,
    Lock,
    Queue,
    QueueFull,
    QueueShutDown,
    ResultLost,
    Session,
    StaleDelivery,
)
from shared.concurrency.queues.queue import participant_of
from shared.local.embedded import EmbeddedServer
from tests.instruments.census import take_census
from tests.instruments.grown import stand_in_line
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Command, Fate
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Away = Callable[[], contextlib.AbstractContextManager[None]]
Emptying = Callable[[EmbeddedServer, Redis], Awaitable[None]]
Putting = Callable[[Queue[int], int], Awaitable[Any]]

PUTS: Final[dict[str, Putting]] = {
    "put": lambda queue, item: queue.put(item),
    "put with id": lambda queue, item: queue.put(item, id=str(item)),
    "put_many": lambda queue, item: queue.put_many([item]),
    "submit": lambda queue, item: queue.submit(item),
}
PUTS_AND_NOWAIT: Final[dict[str, Putting]] = {**PUTS, "put_nowait": lambda queue, item: queue.put_nowait(item)}
every_put = pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
every_put_and_nowait = pytest.mark.parametrize("put", PUTS_AND_NOWAIT.values(), ids=PUTS_AND_NOWAIT)


@pytest.fixture
async def proxy(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with Proxy(server.url, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def queue(proxy: Proxy) -> AsyncIterator[Queue[int]]:
    """A queue behind the proxy."""
    async with Session.open(proxy.url) as session:
        queue = Queue(session, "q", int, maxsize=3)
        await queue.put(0)
        yield queue


@pytest.fixture
async def other(server: EmbeddedServer) -> AsyncIterator[Queue[int]]:
    """The same queue, past the proxy."""
    async with Session.open(server.url) as session:
        yield Queue(session, "q", int)


@pytest.fixture(params=["notified", "cut off"])
def away(proxy: Proxy, request: pytest.FixtureRequest) -> Away:
    """Whether those behind the proxy are there when something happens."""
    return contextlib.nullcontext if request.param == "notified" else proxy.refusing


async def take(queue: Queue[int], count: int) -> list[int]:
    items = []
    for _ in range(count):
        async with asyncio.timeout(40), await queue.get() as item:
            items.append(item)
    return items


async def in_line(queue: Queue[int], count: int) -> None:
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == count)


async def restart_with_older_data(server: EmbeddedServer) -> None:
    """As after a loss of power: the server comes back with what it had at its last SAVE."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


# --- the answer to a put is lost, and memory is full when it is repeated ----------------------------------------------


async def lose_the_answer_and_fill_memory(proxy: Proxy, client: Redis, put: "asyncio.Task[Any]") -> None:
    async with proxy.holding("put") as hold:
        await hold.arrived.wait()  # it has run
        await client.config_set("maxmemory", 1)
        proxy.cut()
    assert not put.done()


@pytest.mark.parametrize("put", [*PUTS.values(), lambda queue, item: queue.put_nowait(item)], ids=[*PUTS, "put_nowait"])
async def test_a_put_that_has_run_is_in_once_and_told_so_though_memory_is_full(
    proxy: Proxy, queue: Queue[int], client: Redis, put: Putting
) -> None:
    putting = asyncio.ensure_future(put(queue, 7))
    await lose_the_answer_and_fill_memory(proxy, client, putting)
    async with asyncio.timeout(5):
        await putting
    await client.config_set("maxmemory", 0)
    assert (await queue.statistics()).put_total == 2
    assert await take(queue, 2) == [0, 7]


async def test_a_put_that_waits_in_line_has_one_place_there_though_memory_is_full(
    proxy: Proxy, queue: Queue[int], other: Queue[int], client: Redis
) -> None:
    await other.put_many([1, 2])
    waiting = asyncio.create_task(queue.put(7))
    await lose_the_answer_and_fill_memory(proxy, client, waiting)
    assert await take(other, 1) == [0]
    async with asyncio.timeout(5):
        await waiting
    await client.config_set("maxmemory", 0)
    assert await take(other, 3) == [1, 2, 7]
    assert (await other.statistics()).puts_waiting == 0


async def test_a_put_cancelled_in_line_is_withdrawn_though_its_answer_was_lost_and_memory_is_full(
    proxy: Proxy, queue: Queue[int], other: Queue[int], client: Redis
) -> None:
    await other.put_many([1, 2])
    waiting = asyncio.create_task(queue.put(7))
    await lose_the_answer_and_fill_memory(proxy, client, waiting)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    await in_line(other, 0)
    await client.config_set("maxmemory", 0)
    assert await take(other, 3) == [0, 1, 2]
    assert (await other.statistics()).put_total == 3


async def test_a_put_that_never_ran_waits_for_memory_and_can_be_withdrawn(
    proxy: Proxy, queue: Queue[int], client: Redis
) -> None:
    await client.config_set("maxmemory", 1)
    lost = proxy.drop_nth(1, Fate.DROP_BEFORE, lambda command: command.name == "put")
    withdrawn, waiting = asyncio.create_task(queue.put(7)), asyncio.create_task(queue.put(8))
    await lost.wait()
    await until(refused_for_memory(client), lambda count: count > 0)
    withdrawn.cancel()
    await asyncio.wait({withdrawn})
    assert withdrawn.cancelled()
    assert not waiting.done()
    await client.config_set("maxmemory", 0)
    async with asyncio.timeout(5):
        await waiting
    assert await take(queue, 2) == [0, 8]
    assert (await queue.statistics()).put_total == 2


def refused_for_memory(client: Redis) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        errors = await client.info("errorstats")
        return int(errors.get("errorstat_OOM", {"count": 0})["count"])

    return count


async def test_put_many_cancelled_counts_what_went_in_before_memory_was_full(
    proxy: Proxy, queue: Queue[int], client: Redis
) -> None:
    putting = asyncio.create_task(queue.put_many([1, 2, 3, 4]))
    await lose_the_answer_and_fill_memory(proxy, client, putting)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError, match="2 messages went in"):
        await putting
    await client.config_set("maxmemory", 0)
    assert await take(queue, 3) == [0, 1, 2]
    await in_line(queue, 0)


# --- a shutdown that is over again when it is heard of ----------------------------------------------------------------


@every_put
@pytest.mark.parametrize("left", [[0, 1, 2], []], ids=["drained", "immediate"])
async def test_a_put_that_waited_at_a_shutdown_raises_though_the_queue_is_open_again(
    away: Away, queue: Queue[int], other: Queue[int], put: Putting, left: list[int]
) -> None:
    await other.put_many([1, 2])
    waiting = asyncio.ensure_future(put(queue, 7))
    await in_line(other, 1)
    with away():
        await other.shutdown(immediate=not left)
        await other.reopen()
    with pytest.raises(QueueShutDown, match="was shut down while this put waited"):
        async with asyncio.timeout(40):
            await waiting
    # And the queue goes on.
    assert await take(other, len(left)) == left
    await queue.put(8)
    assert await take(other, 1) == [8]


async def test_a_put_that_was_not_sent_yet_raises_as_those_in_line(queue: Queue[int], other: Queue[int]) -> None:
    await other.put_many([1, 2])
    waiting = [asyncio.create_task(queue.put(item)) for item in range(600)]
    await in_line(other, 500)
    await other.shutdown()
    await other.reopen()
    ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert {type(error) for error in ended} == {QueueShutDown}
    assert await take(other, 3) == [0, 1, 2]


@every_put_and_nowait
async def test_a_put_refused_by_a_shutdown_says_so_though_the_queue_is_open_when_it_is_repeated(
    proxy: Proxy, queue: Queue[int], other: Queue[int], put: Putting
) -> None:
    await other.shutdown()
    async with proxy.holding("put") as hold:
        putting = asyncio.ensure_future(put(queue, 7))
        await hold.arrived.wait()
        await other.reopen()
        proxy.cut()
    with pytest.raises(QueueShutDown):
        async with asyncio.timeout(40):
            await putting
    assert await queue.qsize() == 1


async def test_puts_that_were_let_in_before_the_shutdown_return(
    proxy: Proxy, queue: Queue[int], other: Queue[int]
) -> None:
    await other.put_many([1, 2])
    waiting = [asyncio.create_task(queue.put(item)) for item in (7, 8)]
    await in_line(other, 2)
    with proxy.refusing():
        assert await take(other, 1) == [0]
        await other.shutdown()
        await other.reopen()
    first, second = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert first is True
    assert isinstance(second, QueueShutDown)
    assert await take(other, 3) == [1, 2, 7]


async def test_a_put_that_was_let_in_is_not_refused_by_a_later_shutdown(
    proxy: Proxy, queue: Queue[int], other: Queue[int]
) -> None:
    await other.put_many([1, 2])
    waiting = asyncio.create_task(queue.put(7))
    await in_line(other, 1)
    member = participant_of(queue).member
    with proxy.refusing():
        assert await take(other, 1) == [0]  # lets it in; nobody hears of it
        await other.shutdown()
        # Its process was stopped meanwhile: it puts again what it takes for waiting.
        member.over(member.session_id)
    async with asyncio.timeout(40):
        await waiting
    assert await take(other, 3) == [1, 2, 7]


# --- the server comes back with older data, or is emptied -------------------------------------------------------------


@every_put
async def test_a_put_that_waited_goes_in_though_the_server_has_forgotten_its_place(
    server: EmbeddedServer, queue: Queue[int], other: Queue[int], client: Redis, put: Putting
) -> None:
    await other.put_many([1, 2])
    await other.statistics()
    await client.save()
    waiting = [asyncio.ensure_future(put(queue, item)) for item in (7, 8)]
    await in_line(other, 2)
    await restart_with_older_data(server)
    assert await take(other, 5) == [0, 1, 2, 7, 8]
    async with asyncio.timeout(40):
        await asyncio.gather(*waiting)


async def test_a_put_that_is_sent_to_older_data_stays_behind_those_that_waited(
    server: EmbeddedServer, proxy: Proxy, queue: Queue[int], other: Queue[int], client: Redis
) -> None:
    await other.put_many([1, 2])
    await client.save()
    waiting = [asyncio.create_task(queue.put(item)) for item in (7, 8)]
    await in_line(other, 2)
    async with proxy.holding("put") as hold:
        waiting.append(asyncio.create_task(queue.put(9)))
        await hold.arrived.wait()
        await restart_with_older_data(server)
    assert await take(other, 6) == [0, 1, 2, 7, 8, 9]
    async with asyncio.timeout(40):
        await asyncio.gather(*waiting)


async def test_a_put_returns_when_it_is_in_though_older_data_hold_a_later_one_that_was_cancelled(
    server: EmbeddedServer, queue: Queue[int], other: Queue[int], client: Redis
) -> None:
    await other.put_many([1, 2])
    first = asyncio.create_task(queue.put(7))
    await in_line(other, 1)
    second = asyncio.create_task(queue.put(8))
    await in_line(other, 2)
    await client.save()
    second.cancel()
    await in_line(other, 1)

    async def calls() -> list[int]:
        lanes = await resolved(client.hgetall("{q}:lanes"))
        return [int(call.split()[1]) for lane, call in lanes.items() if lane.endswith(b":put")]

    before = max(await calls())
    await restart_with_older_data(server)
    # It was put again.
    await until(calls, lambda calls: max(calls, default=0) > before)
    taken = await take(other, 1)
    async with asyncio.timeout(40):
        await first
    statistics = await other.statistics()
    taken += await take(other, statistics.pending)
    assert 7 in taken


async def test_what_was_settled_after_the_snapshot_comes_again(
    server: EmbeddedServer, other: Queue[int], client: Redis
) -> None:
    await other.put_many([0, 1])
    acked, nacked = await other.get(), await other.get()
    await client.save()
    await acked.ack()
    await nacked.dead_letter("settled after the snapshot")
    await restart_with_older_data(server)
    # Leased, as the server has it, to a session that lives and holds nothing.
    assert sorted(await take(other, 2)) == [0, 1]
    async with asyncio.timeout(40):
        await other.join()
    census = await take_census(client, "q")
    census.check()
    assert census.unfinished == 0


async def test_a_result_is_lost_where_its_message_is_not_in_the_older_data_and_comes_where_it_is(
    server: EmbeddedServer, client: Redis
) -> None:
    async with Session.open(server.url) as session, Session.open(server.url) as handling:
        queue, theirs = Queue(session, "q", int), Queue(handling, "q", int)
        before = await queue.submit(1)
        await client.save()
        after = [await queue.submit(2), await queue.submit(3, id="three")]
        await restart_with_older_data(server)
        for future in after:
            with pytest.raises(ResultLost, match="older data"):
                await asyncio.wait_for(future, 10)
        again = await queue.submit(3, id="three")
        assert await take(theirs, 2) == [1, 3]
        async with asyncio.timeout(40):
            await asyncio.gather(before, again)


async def test_no_result_is_lost_of_a_message_in_the_older_data_that_was_submitted_again_after_them(
    server: EmbeddedServer, proxy: Proxy, client: Redis
) -> None:
    async with Session.open(proxy.url) as session, Session.open(server.url) as handling:
        queue, theirs = Queue(session, "q", int), Queue(handling, "q", int)
        first = await queue.submit(1, id="one")
        await client.save()
        async with proxy.holding("results") as look_up:
            submitting = asyncio.create_task(queue.submit(1, id="one"))
            await look_up.arrived.wait()  # the id was known, and it asks for the message that has it
            await restart_with_older_data(server)
        async with asyncio.timeout(40):
            second = await submitting
            assert await take(theirs, 1) == [1]
            await asyncio.gather(first, second)


async def test_who_waits_for_the_submission_of_another_process_hears_that_older_data_lack_it(
    server: EmbeddedServer, client: Redis
) -> None:
    async with Session.open(server.url) as submitting, Session.open(server.url) as session:
        theirs, queue = Queue(submitting, "q", int), Queue(session, "q", int)
        kept = [await each.submit(1, id="kept") for each in (theirs, queue)]
        await client.save()
        lost = [await each.submit(2, id="lost") for each in (theirs, queue)]
        await restart_with_older_data(server)
        for future in lost:
            with pytest.raises(ResultLost, match="older data"):
                await asyncio.wait_for(future, 10)
        assert await take(theirs, 1) == [1]
        async with asyncio.timeout(40):
            await asyncio.gather(*kept)


async def test_a_shutdown_that_is_half_done_is_whole_though_the_server_comes_back_from_before_it(
    server: EmbeddedServer, proxy: Proxy, queue: Queue[int], other: Queue[int], client: Redis
) -> None:
    await other.resize(3000)
    await other.put_many(range(1, 3000))
    await client.save()
    half_done, restarted = asyncio.Event(), asyncio.Event()

    def judge(command: Command) -> Fate:
        if command.name != "shutdown" or command.words[-1] == b"1" or restarted.is_set():
            return Fate.PASS  # the call that begins it is answered
        half_done.set()
        return Fate.DROP_BEFORE

    proxy.judge = judge
    shutting = asyncio.ensure_future(queue.shutdown(immediate=True))
    await half_done.wait()
    await restart_with_older_data(server)
    restarted.set()
    async with asyncio.timeout(100):
        await shutting
    seen = await other.statistics()
    assert (seen.is_shut_down, seen.pending, seen.dead) == (True, 0, 3000)


async def part_by_part(
    server: EmbeddedServer, proxy: Proxy, client: Redis, script: str, begun: "Callable[[], Awaitable[None]]"
) -> None:
    """An operation that takes several calls; the server comes back with older data behind the second one."""
    await client.save()
    async with proxy.holding(script) as first:
        operating = asyncio.ensure_future(begun())
        await first.arrived.wait()
        async with proxy.holding(script) as second:
            first.release()
            await second.arrived.wait()
            await restart_with_older_data(server)
    async with asyncio.timeout(100):
        await operating


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_shutdown_begins_again_where_the_server_comes_back_with_data_from_before_it(
    server: EmbeddedServer, proxy: Proxy, client: Redis, *, immediate: bool
) -> None:
    async with Session.open(proxy.url, ttl=60) as session:
        queue = Queue(session, "jobs", int, maxsize=1200)
        await queue.put_many(range(1200))
        await stand_in_line(client, 5)
        await part_by_part(server, proxy, client, "shutdown", lambda: queue.shutdown(immediate))
        seen = await queue.statistics()
        assert (seen.is_shut_down, seen.puts_waiting) == (True, 0)
        assert (seen.dead, seen.pending) == ((1200, 0) if immediate else (0, 1200))


async def test_a_resize_begins_again_where_the_server_comes_back_with_data_from_before_it(
    server: EmbeddedServer, proxy: Proxy, client: Redis
) -> None:
    async with Session.open(proxy.url, ttl=60) as session:
        queue = Queue(session, "jobs", int, maxsize=1)
        await queue.put(0)
        await stand_in_line(client, 5)
        await part_by_part(server, proxy, client, "resize", lambda: queue.resize(0, max_dead=7))
        seen = await queue.statistics()
        assert (seen.maxsize, seen.max_dead, seen.pending, seen.puts_waiting) == (0, 7, 2501, 0)


@every_put
async def test_a_put_that_waited_goes_in_after_the_server_was_emptied(
    server: EmbeddedServer, client: Redis, put: Putting
) -> None:
    async with Session.open(server.url, ttl=0.6) as session:
        queue = Queue(session, "q", int, maxsize=1)
        await queue.put(0)
        waiting = asyncio.ensure_future(put(queue, 7))
        await in_line(queue, 1)
        await client.flushall()
        assert await take(queue, 1) == [7]
        async with asyncio.timeout(40):
            await waiting


async def flush(server: EmbeddedServer, client: Redis) -> None:  # noqa: ARG001  # as the other
    await client.flushall()


async def restart_empty(server: EmbeddedServer, client: Redis) -> None:  # noqa: ARG001  # as the other
    await restart_with_older_data(server)


emptied = pytest.mark.parametrize("empty", [flush, restart_empty])


@emptied
async def test_a_queue_that_the_server_has_forgotten_is_one_line_at_error_and_goes_on(
    server: EmbeddedServer, client: Redis, caplog: pytest.LogCaptureFixture, empty: Emptying
) -> None:
    async with Session.open(server.url, ttl=3.0) as session, Session.open(server.url, ttl=3.0) as other:
        queues = Queue(session, "q", int, maxsize=1), Queue(other, "q", int)
        await queues[0].put(0)
        held = await queues[1].get()
        lost = [await queue.submit(5) for queue in queues[:1]]
        caplog.clear()
        await empty(server, client)
        for future in lost:
            with pytest.raises(ResultLost, match="has forgotten the queue"):
                await asyncio.wait_for(future, 40)
        await until(lambda: forgotten(caplog), lambda count: count >= 2)
        with pytest.raises(StaleDelivery):
            await held.ack()
        # As before, bound and all.
        await queues[0].put(1)
        with pytest.raises(QueueFull):
            await queues[1].put_nowait(2)
        assert await take(queues[1], 1) == [1]
    assert await forgotten(caplog) == 2


async def forgotten(caplog: pytest.LogCaptureFixture) -> int:
    return sum(
        record.levelname == "ERROR" and "has forgotten this queue" in str(record.msg) for record in caplog.records
    )


@emptied
async def test_a_lease_goes_to_the_next_and_a_wait_for_an_event_goes_on(
    server: EmbeddedServer, client: Redis, empty: Emptying
) -> None:
    async with Session.open(server.url, ttl=0.6) as session, Session.open(server.url, ttl=0.6) as other:
        event, theirs = Event(session, "e"), Event(other, "e")
        await event.set()
        await event.clear()
        waiting = asyncio.create_task(event.wait())
        await until(lambda: client.exists("{e}:event:watchers"), bool)
        held = await Lock(session, "l").acquire()
        next_one = asyncio.create_task(Lock(other, "l").acquire())
        await until(Lock(other, "l").statistics, lambda statistics: len(statistics.waiters) == 1)
        await empty(server, client)
        async with asyncio.timeout(40):
            lease = await next_one

        async def is_held() -> bool:
            try:
                held.check()
            except LeaseLost:
                return False
            return True

        # The server had nothing to say no with; the holder learns of the loss at its next renewal.
        await until(is_held, lambda held: not held)
        await lease.release()
        # It was not set meanwhile.
        assert not await theirs.is_set()
        assert not waiting.done()
        await theirs.set()
        await theirs.clear()
        async with asyncio.timeout(40):
            assert await waiting


# --- many -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_cancelling_many_puts_costs_each_the_same(queue: Queue[int]) -> None:
    await queue.put_many([1, 2])
    puts = [asyncio.create_task(queue.put(item)) for item in range(20_000)]
    await in_line(queue, 500)
    for put in puts:
        put.cancel()
    before = time.process_time()
    await asyncio.wait(puts)
    # Less than a second; more than fifteen where each looks at all that wait.
    assert time.process_time() - before < 6
    await in_line(queue, 0)
