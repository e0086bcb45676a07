"""The worker: what becomes of a message whose handler returns, fails, settles, hangs or is stopped."""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from redis.asyncio import Redis

from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.emptying import take
from tests.instruments.waiting import until
from tests.instruments.workers import working

Handle = Callable[[Delivery[int]], Awaitable[None]]


async def test_a_clean_return_acknowledges(queue: Queue[int]) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)

    await queue.put_many(range(1000))
    async with working(queue, handle) as worker:
        await queue.join()
    assert handled == list(range(1000))
    assert worker.handled == 1000
    assert (await queue.statistics()).acked_total == 1000


async def test_handlers_run_at_once_as_many_as_told(queue: Queue[int]) -> None:
    meeting = asyncio.Barrier(7)
    at_once: list[int] = []
    running = 0

    async def handle(_: Delivery[int]) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await meeting.wait()  # fewer would wait for ever
        running -= 1

    await queue.put_many(range(14))
    async with working(queue, handle, concurrency=7):
        async with asyncio.timeout(5):
            await queue.join()
    assert (len(at_once), max(at_once)) == (14, 7)


async def test_no_worker_is_forgotten_while_there_is_work(queue: Queue[int]) -> None:
    # About one round in thirty left a worker without work once: who woke up had lost it to another, and nobody asked
    # for more.
    meeting = asyncio.Barrier(4)

    async def handle(delivery: Delivery[int]) -> None:
        await asyncio.sleep(0.001)
        await meeting.wait()
        await asyncio.sleep(0.0003 * (delivery.item % 4))

    for nth in range(1, 41):
        await queue.put_many(range(40))
        async with asyncio.timeout(5), working(queue, handle, concurrency=4) as worker:
            await queue.join()
        assert worker.handled == 40
        assert (await queue.statistics()).acked_total == 40 * nth


async def test_a_failing_handler_is_tried_again_later_and_then_given_up(queue: Queue[int]) -> None:
    attempts: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        attempts.append(delivery.attempt)
        raise LookupError("nothing there")

    await queue.put(7)
    async with working(queue, handle):
        await queue.join()
    assert attempts == [1, 2]
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.error, letter.body) == ("failed", "LookupError: nothing there", b"7")


async def test_a_handler_may_settle_by_itself(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 1:
            await delivery.ack()
        elif delivery.item == 2:
            await delivery.dead_letter("not for us")
        elif delivery.attempt == 1:
            await delivery.nack(delay=0.01)

    await queue.put_many([1, 2, 3])
    async with working(queue, handle):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.dead) == (2, 1, 1)


async def test_a_drain_finishes_what_is_handled_and_gives_back_the_rest(queue: Queue[int]) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        started.set()
        await finish.wait()

    await queue.put_many(range(5))
    worker = Worker(queue, handle, concurrency=1)
    running = asyncio.create_task(worker.run())
    await started.wait()
    worker.drain()
    finish.set()
    await running
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.leased, statistics.pending + statistics.delayed) == (1, 0, 4)


async def test_a_drain_begins_with_nothing_that_was_taken_ahead(queue: Queue[int]) -> None:
    handled: list[int] = []
    before: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)
        if not before and worker._prefetch is not None and worker._prefetch.pace.in_hand() > 0:
            worker.drain()
            before.extend(handled)

    await queue.put_many(range(2000))
    worker = Worker(queue, handle, concurrency=1)
    async with asyncio.timeout(40):
        await worker.run()
    assert handled == before
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.leased) == (len(handled), 0)
    assert statistics.delayed > 0  # it was taken, and nobody has begun with it
    assert statistics.pending + statistics.delayed == 2000 - len(handled)


async def test_a_stop_gives_back_what_does_not_finish_within_the_grace(queue: Queue[int]) -> None:
    started = asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        started.set()
        await asyncio.Event().wait()

    await queue.put(1)
    worker = Worker(queue, handle)
    running = asyncio.create_task(worker.run())
    await started.wait()
    await worker.stop(grace=0.05)
    await running
    statistics = await queue.statistics()
    assert (statistics.leased, statistics.delayed, statistics.nacked_total) == (0, 1, 0)


async def test_a_worker_ends_when_the_queue_is_shut_down_and_finished(queue: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None: ...

    await queue.put_many(range(10))
    await queue.shutdown()
    worker = Worker(queue, handle)
    async with asyncio.timeout(5):
        await worker.run()
    assert worker.handled == 10


async def test_a_lost_session_cancels_the_handler_and_the_worker_goes_on(url: str, name: str) -> None:
    ends: list[str] = []

    async def handle(delivery: Delivery[int]) -> None:
        try:
            if delivery.attempt == 1:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        ends.append("done")

    async with Session.open(url, ttl=0.5) as session, redis.asyncio.Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        await queue.put(1)
        async with working(queue, handle):
            await until(queue.statistics, lambda seen: seen.leased == 1)
            await inside.end_session(client, session, name)
            await queue.join()
    assert ends == ["cancelled", "done"]


async def test_what_has_not_started_goes_back_for_others(url: str, name: str, queue: Queue[int]) -> None:
    hanging, go_on = asyncio.Event(), asyncio.Event()

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 500:
            hanging.set()
            await go_on.wait()

    async with Session.open(url) as session:
        other = Queue(session, name, int)
        await queue.put_many(range(1000))
        # Fast until one handler hangs: what was taken ahead by then must not wait behind it.
        async with working(queue, handle, concurrency=1):
            await hanging.wait()
            assert sorted(await take(other, 499, seconds=10)) == list(range(501, 1000))
            go_on.set()
            await queue.join()


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"time_limit": 0}, {"time_limit": -1.0}])
async def test_what_is_not_positive_is_refused(queue: Queue[int], wrong: dict[str, float]) -> None:
    async def handle(_: Delivery[int]) -> None: ...

    with pytest.raises(ValueError, match="positive"):
        Worker(queue, handle, **wrong)  # type: ignore[arg-type]


async def test_retry_comes_again_after_exactly_its_delay(
    queue: Queue[int], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []

    async with redis.asyncio.Redis.from_url(url) as client:

        async def handle(_: Delivery[int]) -> None:
            seconds, microseconds = await client.time()
            times.append(seconds + microseconds / 1e6)
            if len(times) == 1:
                raise Retry(after=0.3) from KeyError("busy")

        await queue.put(1)
        # No backoff would keep it that long by chance.
        async with working(queue, handle, rules={int: Rules(backoff=Backoff(first=0))}):
            await queue.join()
    first, second = times
    assert second - first >= 0.3
    statistics = await queue.statistics()
    assert (statistics.nacked_total, statistics.acked_total) == (1, 1)
    assert "Traceback" not in caplog.text


async def test_retry_without_end_is_a_dead_letter_with_its_cause(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.attempt == 1:
            raise Retry(after=0, reason="not now")
        raise Retry(after=0) from KeyError("busy")

    await queue.put(1)
    async with working(queue, handle):
        await queue.join()
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.attempt, letter.failures) == ("failed", 2, 2)
    assert (letter.first_error, letter.last_error, letter.error) == ("not now", "KeyError: 'busy'", "KeyError: 'busy'")


async def test_reject_is_a_dead_letter_at_once(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 1:
            raise Reject("no such user")
        raise Reject("no such user") from LookupError("user 7")

    await queue.put_many([1, 2])
    async with working(queue, handle):
        await queue.join()
    letters = {letter.body: letter for letter in await queue.dead_letters()}
    assert {letter.reason for letter in letters.values()} == {"no such user"}
    assert {letter.attempt for letter in letters.values()} == {1}
    assert (letters[b"1"].error, letters[b"1"].last_error) == ("", None)
    assert (letters[b"2"].error, letters[b"2"].last_error) == ("LookupError: user 7", "LookupError: user 7")
    assert (await queue.statistics()).nacked_total == 0


@pytest.mark.parametrize("attempts", [1, 4])
async def test_a_class_may_have_attempts_of_its_own(queue: Queue[int], attempts: int) -> None:
    seen: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        seen.append(delivery.attempt)
        raise LookupError

    await queue.put(1)
    async with working(queue, handle, rules={int: Rules(attempts=attempts, backoff=Backoff(first=0))}):
        await queue.join()
    assert seen == list(range(1, attempts + 1))
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.failures) == ("failed", attempts)


async def test_a_class_may_have_a_time_limit_of_its_own(queue: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        await asyncio.Event().wait()

    await queue.put(1)
    async with working(queue, handle, rules={int: Rules(attempts=1, time_limit=0.1)}), asyncio.timeout(5):
        await queue.join()
    (letter,) = await queue.dead_letters()
    assert letter.error == "TimeoutError: the handler took longer than 0.1 s"


async def test_a_handler_that_swallows_its_time_limit_does_no_harm_to_the_next(queue: Queue[int]) -> None:
    # Each such cancellation stayed with the worker once, which then ended, and the service with it.
    async def handle(delivery: Delivery[int]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if delivery.item % 2:
                raise

    await queue.put_many(range(6))
    async with (
        working(queue, handle, concurrency=1, rules={int: Rules(attempts=1, time_limit=0.1)}),
        asyncio.timeout(40),
    ):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.dead) == (3, 3)


async def test_a_cancelled_error_of_the_handler_s_own_is_a_failure(queue: Queue[int]) -> None:
    # It ended the worker once, and the service with it.
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.attempt == 1:
            raise asyncio.CancelledError("of something that it waited for")

    await queue.put_many(range(3))
    async with working(queue, handle, concurrency=1, rules={int: Rules(backoff=Backoff(first=0))}), asyncio.timeout(5):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total) == (3, 3)


async def test_a_handler_that_exits_ends_nobody_but_itself(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 1:
            sys.exit(3)

    await queue.put_many([1, 2])
    async with working(queue, handle, rules={int: Rules(attempts=1)}), asyncio.timeout(5):
        await queue.join()
    (letter,) = await queue.dead_letters()
    assert (letter.body, letter.error) == (b"1", "SystemExit: 3")
    assert (await queue.statistics()).acked_total == 1


async def test_a_handler_that_settles_and_then_fails_has_settled(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        await delivery.ack()
        raise (Reject("late"), Retry(after=0), LookupError("late"))[delivery.item]

    await queue.put_many([0, 1, 2])
    async with working(queue, handle), asyncio.timeout(5):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.dead) == (3, 0, 0)


async def test_what_was_given_back_is_no_failure(queue: Queue[int]) -> None:
    async def never(_: Delivery[int]) -> None:
        await asyncio.Event().wait()

    failures: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        failures.append(delivery.failures)
        if len(failures) == 1:
            raise LookupError

    await queue.put(1)
    for _ in range(3):
        worker = Worker(queue, never)
        running = asyncio.create_task(worker.run())
        await until(queue.statistics, lambda seen: seen.leased == 1)
        await worker.stop(grace=0)
        await running
    async with working(queue, handle):
        await queue.join()
    assert failures == [0, 1]


async def test_what_was_given_back_does_not_lengthen_the_backoff(
    session: Session, client: Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    queue = Queue(session, name, int)
    await queue.put(1)
    for _ in range(5):
        delivery = await queue.get()
        await handout_of(delivery).settled("return")

    async def fail(_: Delivery[int]) -> None:
        raise LookupError

    worker = Worker(queue, fail, rules={int: Rules(backoff=Backoff(first=10, longest=10_000))})
    running = asyncio.create_task(worker.run())
    await until(lambda: client.zcard(queue_keys(name)["delayed"]), lambda count: count == 1)
    ((_, due),) = await client.zrange(queue_keys(name)["delayed"], 0, -1, withscores=True)
    assert due - time.time() * 1000 < 11_000
    worker.drain()
    await running


async def test_a_time_limit_ends_a_handler_when_it_says(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    took = asyncio.get_running_loop().create_future()

    async def handle(_: Delivery[int]) -> None:
        began = time.monotonic()
        try:
            await asyncio.Event().wait()
        finally:
            if not took.done():
                took.set_result(time.monotonic() - began)

    worker = Worker(queue, handle, rules={int: Rules(attempts=1, time_limit=0.5)})
    running = asyncio.create_task(worker.run())
    await queue.put(1)
    assert 0.5 <= await took < 5  # ten times as long
    await queue.join()
    worker.drain()
    await running


async def test_what_finishes_within_the_grace_is_finished(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        started.set()
        await go_on.wait()

    worker = Worker(queue, handle)
    running = asyncio.create_task(worker.run())
    await queue.put(1)
    await started.wait()
    stopping = asyncio.create_task(worker.stop(grace=20))
    await asyncio.wait({stopping}, timeout=0.05)
    assert not stopping.done()
    go_on.set()
    await stopping
    await running
    assert (await queue.statistics()).acked_total == 1
