"""Plain functions in threads: they do not block the loop; one that cannot be stopped holds up its worker only."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import redis.asyncio

from consumer.executors.threads import Threads
from consumer.outcomes import Reject
from consumer.rules.backoff import Backoff
from consumer.rules.errors import StillRunning
from consumer.rules.handler import call_plain
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from tests.instruments import inside, workers
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.emptying import take
from tests.instruments.waiting import until

Plain = Callable[[Delivery[int]], None]


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a hung thread waits for; set at the end."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "weir-handler":
            thread.join(5)


@asynccontextmanager
async def working(queue: Queue[int], function: Plain, **more: float) -> AsyncIterator[Worker[int]]:
    threads = Threads()

    async def handle(delivery: Delivery[int]) -> None:
        await threads.run(partial(call_plain, function, delivery))

    rules = Rules(backoff=Backoff(first=0), time_limit=more.get("time_limit"))
    grace, concurrency = more.get("grace", 5), int(more.get("concurrency", 10))
    with contextlib.closing(threads):
        async with workers.working(queue, handle, grace=grace, concurrency=concurrency, rules={int: rules}) as worker:
            yield worker


async def test_threads_run_at_once_and_are_kept(queue: Queue[int]) -> None:
    meeting = threading.Barrier(4)
    seen: set[threading.Thread] = set()

    def handle(_: Delivery[int]) -> None:
        seen.add(threading.current_thread())
        meeting.wait(30)

    await queue.put_many(range(40))
    async with working(queue, handle, concurrency=4) as worker, asyncio.timeout(40):
        await queue.join()
        assert worker.handled == 40
    assert len(seen) == 4
    assert threading.main_thread() not in seen


async def test_what_a_thread_may_use(session: Session, name: str) -> None:
    first = Queue(session, "first", int, group=name)
    second = Queue(session, "second", int, group=name)
    loop = asyncio.get_running_loop()
    meeting = threading.Barrier(4)

    def handle(delivery: Delivery[int]) -> None:
        meeting.wait(30)
        assert delivery.attempt == 1
        assert delivery.id
        delivery.effects.incrby(f"{{{name}}}:handled", 1)
        delivery.effects.put(second, delivery.item)
        # What belongs to the loop, by way of the loop.
        asyncio.run_coroutine_threadsafe(delivery.progress(0.5), loop).result(5)

    await first.put_many(range(200))
    async with working(first, handle, concurrency=4) as worker, asyncio.timeout(100):
        await first.join()
        assert worker.handled == 200
    assert sorted(await take(second, 200)) == list(range(200))
    assert (await first.statistics()).dead_total == 0


async def test_what_a_thread_raises_counts_as_anywhere(queue: Queue[int]) -> None:
    def handle(delivery: Delivery[int]) -> None:
        raise (LookupError("nothing there"), SystemExit(3), Reject("unwanted"))[delivery.item]

    await queue.put_many([0, 1, 2])
    async with working(queue, handle), asyncio.timeout(40):
        await queue.join()
    letters = {letter.body: (letter.reason, letter.error) for letter in await queue.dead_letters()}
    assert letters == {
        b"0": ("failed", "LookupError: nothing there"),
        b"1": ("failed", "SystemExit: 3"),
        b"2": ("unwanted", ""),
    }


async def test_context_variables_are_there() -> None:
    word = contextvars.ContextVar[str]("word")
    word.set("said")
    heard: list[str] = []
    threads = Threads()
    await threads.run(lambda: heard.append(word.get()))
    threads.close()
    assert heard == ["said"]


async def test_a_hung_thread_keeps_its_worker_and_nobody_else(queue: Queue[int], go_on: threading.Event) -> None:
    running: list[int] = []

    def handle(delivery: Delivery[int]) -> None:
        running.append(delivery.item)
        if delivery.item == 0 and delivery.attempt == 1:
            go_on.wait(30)

    await queue.put(0)
    async with working(queue, handle, concurrency=2, time_limit=0.1), asyncio.timeout(40):
        # Nacked at once, and handled by the other worker.
        await queue.join()
        await queue.put_many(range(1, 20))
        await queue.join()
        go_on.set()
        await queue.put(20)
        await queue.join()
    assert sorted(running) == [0, 0, *range(1, 21)]
    statistics = await queue.statistics()
    # The late result of the first attempt is nobody's.
    assert (statistics.acked_total, statistics.nacked_total) == (21, 1)


async def test_threads_do_not_pile_up(queue: Queue[int], go_on: threading.Event) -> None:
    started: list[int] = []

    def handle(delivery: Delivery[int]) -> None:
        started.append(delivery.item)
        go_on.wait(30)

    await queue.put_many(range(10))
    async with working(queue, handle, concurrency=2, time_limit=0.1, grace=0) as worker:
        await until(queue.statistics, lambda seen: seen.nacked_total == 2)
        await until(queue.statistics, lambda seen: seen.leased == 0)
        # All workers wait for their threads; what else there is goes to other processes.
        assert len(started) == 2
        assert worker.handled == 0


async def test_a_drain_does_not_wait_for_a_thread_that_is_late_already(
    queue: Queue[int], go_on: threading.Event
) -> None:
    def handle(_: Delivery[int]) -> None:
        go_on.wait(30)

    await queue.put(1)
    async with working(queue, handle, time_limit=0.1, grace=60):
        await until(queue.statistics, lambda seen: seen.nacked_total == 2)
    assert (await queue.statistics()).dead == 1


async def test_a_drain_gives_back_what_a_thread_has_not_finished(queue: Queue[int], go_on: threading.Event) -> None:
    started = threading.Event()

    def handle(_: Delivery[int]) -> None:
        started.set()
        go_on.wait(30)

    await queue.put(1)
    async with working(queue, handle, grace=0.05):
        await asyncio.to_thread(started.wait)
    statistics = await queue.statistics()
    assert (statistics.leased, statistics.delayed, statistics.nacked_total) == (0, 1, 0)


async def test_a_lost_session_ends_the_wait_for_a_thread(url: str, name: str, go_on: threading.Event) -> None:
    attempts: list[int] = []

    def handle(delivery: Delivery[int]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            go_on.wait(30)

    async with Session.open(url, ttl=0.5) as session, redis.asyncio.Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        await queue.put(1)
        async with working(queue, handle, concurrency=2), asyncio.timeout(40):
            await until(queue.statistics, lambda seen: seen.leased == 1)
            await inside.end_session(client, session, name)
            await queue.join()
    assert attempts == [1, 2]


def wait(event: threading.Event) -> None:
    event.wait(30)


async def test_a_caller_may_be_cancelled_wherever_it_waits(go_on: threading.Event) -> None:
    threads = Threads()
    free = threading.Semaphore(0)

    def function() -> None:
        free.acquire(timeout=5)

    async def attempt(point: int, mode: Mode) -> Outcome[None]:
        run = asyncio.create_task(cancelled_at(point, mode, threads.run(function)))
        await asyncio.wait({run}, timeout=0.01)
        free.release()
        outcome = await run
        # The thread is free again, and the only one.
        done: list[int] = []
        await threads.run(lambda: done.append(1))
        assert done == [1]
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)
    threads.close()

    hanging = Threads()
    waiting = asyncio.create_task(hanging.run(partial(wait, go_on)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(StillRunning) as still:
        await waiting
    assert not still.value.ended.done()
    hanging.close()
    go_on.set()
    assert await still.value.ended is None
