"""Handlers that take many messages at once: when they run, and what becomes of each message."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.batches import Batch, Gather
from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import DeadLetter, Delivery, EffectRefused, Queue, Session
from tests.instruments import inside, workers
from tests.instruments.waiting import until

HandleMany = Callable[[Batch[Any]], Awaitable[object]]

NEVER = 3600.0
BOTH: Any = int | str
AT_ONCE = Backoff(first=0)


async def alone(delivery: Delivery[Any]) -> None:
    raise AssertionError(f"handled by itself: {delivery}")


@asynccontextmanager
async def working(
    queue: Queue[Any], handle_batch: HandleMany, most: int, within: float, **options: Any
) -> AsyncIterator[Worker[Any]]:
    """A worker that handles numbers in batches."""
    rules = {int: Rules(batch=Gather(most, within), backoff=AT_ONCE, attempts=options.pop("attempts", None))}
    handle = options.pop("handle", alone)
    async with workers.working(queue, handle, rules=rules, handle_batch=handle_batch, **options) as worker:
        yield worker


def number_of(letter: DeadLetter) -> int:
    return int(letter.body)


class Seen:
    """A handler that notes the batches that it gets."""

    def __init__(self, then: Callable[[Batch[Any]], object] = lambda _: None) -> None:
        """`then` is what it does with each."""
        self.batches: list[list[Any]] = []
        self._then = then

    async def __call__(self, batch: Batch[Any]) -> object:
        self.batches.append(batch.items)
        return self._then(batch)


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_as_many_as_most_are_handled_at_once_and_acknowledged(queue: Queue[int], concurrency: int) -> None:
    seen = Seen()
    await queue.put_many(range(300))
    async with working(queue, seen, 100, NEVER, concurrency=concurrency) as worker:
        async with asyncio.timeout(40):
            await queue.join()
    assert [len(batch) for batch in seen.batches] == [100, 100, 100]
    assert sorted(item for batch in seen.batches for item in batch) == list(range(300))
    assert worker.handled == 300
    assert (await queue.statistics()).acked_total == 300


async def test_what_there_is_runs_so_long_after_the_first(queue: Queue[int]) -> None:
    seen, loop = Seen(), asyncio.get_running_loop()
    async with working(queue, seen, 100, 0.3):
        before = loop.time()
        await queue.put_many(range(7))
        async with asyncio.timeout(40):
            await queue.join()
        assert loop.time() - before >= 0.3
    assert seen.batches == [list(range(7))]


async def test_what_is_set_aside_takes_no_worker_and_does_not_go_back(url: str, name: str) -> None:
    # What a worker has not begun with goes back after 100 ms; what waits for a batch does not, and is renewed.
    attempts: list[int] = []
    seen, plain = Seen(lambda batch: attempts.extend(delivery.attempt for delivery in batch)), 0

    async def handle(_: Delivery[Any]) -> None:
        nonlocal plain
        plain += 1

    async with Session.open(url, ttl=0.5) as session:
        queue: Queue[Any] = Queue(session, name, BOTH)
        async with working(queue, seen, 4, NEVER, handle=handle, concurrency=1):
            await queue.put_many([1, 2, 3])
            await until_done(queue, 3)
            loop = asyncio.get_running_loop()
            end, puts = loop.time() + 1.2, 0  # more than twice the time to live
            while loop.time() < end:
                await queue.put("plain")
                puts += 1
                await until_done(queue, 3)
            assert (plain, seen.batches) == (puts, [])
            await queue.put(4)
            async with asyncio.timeout(5):
                await queue.join()
    assert (seen.batches, attempts) == ([[1, 2, 3, 4]], [1, 1, 1, 1])


async def until_done(queue: Queue[Any], held: int) -> None:
    """Wait until only so many are held, and nothing else is there."""

    async def left() -> int:
        statistics = await queue.statistics()
        return statistics.leased + statistics.pending

    await until(left, lambda count: count == held)


async def test_a_batch_is_taken_by_few_calls_and_settled_by_one(queue: Queue[int], client: Redis) -> None:
    before = after = 0

    async def calls() -> int:
        info: dict[str, dict[str, int]] = await client.info("commandstats")
        return sum(info.get(f"cmdstat_{word}", {}).get("calls", 0) for word in ("evalsha", "fcall", "eval"))

    async def handle(_: Batch[int]) -> None:
        nonlocal before
        before = await calls()

    await queue.put_many(range(500))
    start = await calls()
    async with working(queue, handle, 500, NEVER, concurrency=1):
        async with asyncio.timeout(40):
            await queue.join()
        after = await calls()
    # What is lacking is asked for at once, though one worker is free.
    assert 0 < before - start <= 12
    # The settling one, and those of `join` and of the heartbeat.
    assert 0 < after - before <= 6


async def test_raising_nacks_all_and_they_come_again(queue: Queue[int]) -> None:
    def fail_first(_: Batch[int]) -> None:
        if len(seen.batches) == 1:
            raise LookupError("no table")

    seen = Seen(fail_first)
    await queue.put_many(range(5))
    async with working(queue, seen, 5, 0.2, attempts=3):
        async with asyncio.timeout(40):
            await queue.join()
    statistics = await queue.statistics()
    assert (statistics.nacked_total, statistics.acked_total, statistics.dead) == (5, 5, 0)
    assert [sorted(batch) for batch in seen.batches] == [list(range(5))] * 2


async def test_one_fails_by_itself_the_others_are_acknowledged(queue: Queue[int]) -> None:
    def fail_some(batch: Batch[int]) -> None:
        for delivery in batch:
            if delivery.item == 1:
                batch.fail(delivery, ValueError("one"))
            if delivery.item == 2:
                batch.fail(delivery, Reject("two"))
            if delivery.item == 3 and delivery.attempt == 1:
                batch.fail(delivery, ValueError("the last error counts"))
                batch.fail(delivery, Retry(after=0.01))

    await queue.put_many(range(5))
    async with working(queue, Seen(fail_some), 5, 0.1, attempts=2):
        async with asyncio.timeout(40):
            await queue.join()
    letters = {letter.reason: letter for letter in await queue.dead_letters()}
    assert {reason: (number_of(letter), letter.failures) for reason, letter in letters.items()} == {
        "failed": (1, 2), "two": (2, 0),
    }  # fmt: skip
    assert letters["failed"].error == "ValueError: one"
    assert (await queue.statistics()).acked_total == 3


async def test_one_fails_by_itself_though_the_handler_raises(queue: Queue[int]) -> None:
    def fail_one(batch: Batch[int]) -> None:
        batch.fail(batch[0], Reject("never"))
        raise LookupError("for the others")

    await queue.put_many(range(3))
    async with working(queue, Seen(fail_one), 3, 0.1, attempts=1):
        async with asyncio.timeout(40):
            await queue.join()
    assert sorted((number_of(letter), letter.reason) for letter in await queue.dead_letters()) == [
        (0, "never"), (1, "failed"), (2, "failed"),
    ]  # fmt: skip


async def test_each_may_be_settled_by_its_own_delivery(queue: Queue[int]) -> None:
    async def settle(batch: Batch[int]) -> None:
        if len(batch) == 3:
            await batch[0].ack()
            await batch[1].dead_letter("unwanted")
            raise LookupError("for what is left")

    await queue.put_many(range(3))
    async with working(queue, settle, 3, 0.1):
        async with asyncio.timeout(40):
            await queue.join()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.dead) == (2, 1, 1)


async def test_a_bad_message_makes_no_dead_letters_of_its_company(queue: Queue[int]) -> None:
    # All fail together until the last attempt, which each has by itself.
    def insert(batch: Batch[int]) -> None:
        if 13 in batch.items:
            raise ValueError("a row is wrong")

    seen = Seen(insert)
    await queue.put_many(range(20))
    async with working(queue, seen, 20, 0.2, attempts=3):
        async with asyncio.timeout(100):
            await queue.join()
    assert [number_of(letter) for letter in await queue.dead_letters()] == [13]
    assert (await queue.statistics()).acked_total == 19
    assert [len(batch) for batch in seen.batches[:2]] == [20, 20]
    assert [len(batch) for batch in seen.batches[2:]] == [1] * 20


async def test_results_are_a_list_of_as_many(queue: Queue[int]) -> None:
    def double(batch: Batch[int]) -> object:
        return [item * 2 for item in batch.items]

    async with working(queue, Seen(double), 3, NEVER):
        futures = [await queue.submit(item) for item in (1, 2)]
        await queue.put(3)  # nobody asks for its result
        async with asyncio.timeout(40):
            assert [await future for future in futures] == [2, 4]


async def test_without_results_each_is_none(queue: Queue[int]) -> None:
    async with working(queue, Seen(), 2, NEVER):
        futures = [await queue.submit(item) for item in (1, 2)]
        async with asyncio.timeout(40):
            assert [await future for future in futures] == [None, None]


@pytest.mark.parametrize("returned", [[1], (1, 2), "ab", 2])
async def test_what_is_no_list_of_as_many_is_a_failure(queue: Queue[int], returned: object) -> None:
    await queue.put_many(range(2))
    async with working(queue, Seen(lambda _: returned), 2, 0.1, attempts=1):
        async with asyncio.timeout(40):
            await queue.join()
    letters = await queue.dead_letters()
    assert [letter.reason for letter in letters] == ["failed", "failed"]
    assert all("TypeError: the handler of a batch" in str(letter.error) for letter in letters)


async def test_one_result_that_cannot_be_sent_is_one_dead_letter(queue: Queue[int]) -> None:
    async with working(queue, Seen(lambda _: [object(), 7]), 2, NEVER):
        bad, good = await queue.submit(1), await queue.submit(2)
        async with asyncio.timeout(40):
            assert await good == 7
            with pytest.raises(Exception, match="invalid_result"):
                await bad
    assert [(number_of(letter), letter.reason) for letter in await queue.dead_letters()] == [(1, "invalid_result")]


async def test_each_has_its_own_effects_and_one_refused_harms_no_other(queue: Queue[int], client: Redis) -> None:
    key = f"{{{queue.full_name}}}:counts"
    await client.set(f"{key}:text", "no number")

    def count(batch: Batch[int]) -> None:
        for delivery in batch:
            delivery.effects.hincrby(key, "n", delivery.item)
            if delivery.item == 100:
                delivery.effects.incrby(f"{key}:text", 1)

    await queue.put_many([1, 10, 100])
    async with working(queue, Seen(count), 3, 0.1, attempts=1):
        async with asyncio.timeout(40):
            await queue.join()
    found: Any = client.hgetall(key)
    assert await found == {b"n": b"11"}
    (letter,) = await queue.dead_letters()
    assert (number_of(letter), str(letter.error).partition(":")[0]) == (100, EffectRefused.__name__)


async def test_a_time_limit_is_for_the_batch(queue: Queue[int]) -> None:
    cancelled = 0

    async def hang(_: Batch[int]) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled += 1

    rules = {int: Rules(batch=Gather(3, NEVER), attempts=1, time_limit=0.1)}
    await queue.put_many(range(3))
    async with workers.working(queue, alone, rules=rules, handle_batch=hang, concurrency=2):
        async with asyncio.timeout(40):
            await queue.join()
    assert cancelled == 1
    assert {letter.error for letter in await queue.dead_letters()} == {
        "TimeoutError: the handler took longer than 0.1 s"
    }


async def test_a_drain_runs_what_it_has(queue: Queue[int]) -> None:
    seen = Seen()
    async with working(queue, seen, 100, NEVER):
        await queue.put_many(range(9))

        async def leased() -> int:
            return (await queue.statistics()).leased

        await until(leased, lambda count: count == 9)
        assert seen.batches == []
    assert seen.batches == [list(range(9))]
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.leased, statistics.delayed) == (9, 0, 0)


async def test_what_no_worker_comes_to_within_the_grace_goes_back(queue: Queue[int]) -> None:
    begun = asyncio.Event()

    async def hang(_: Batch[int]) -> None:
        begun.set()
        await asyncio.sleep(1000)

    async with working(queue, hang, 4, NEVER, concurrency=1, grace=0.05):
        await queue.put_many(range(4))
        await begun.wait()
        await queue.put_many(range(4, 6))
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.leased) == (0, 0, 0)
    assert statistics.pending + statistics.delayed == 6


async def test_the_loss_of_a_session_cancels_a_batch_once(url: str, name: str) -> None:
    cancelled: list[int] = []
    async with Session.open(url, ttl=2) as session:
        queue = Queue(session, name, int)

        async def hang(batch: Batch[int]) -> None:
            if batch[0].attempt > 1:
                return
            task = asyncio.current_task()
            assert task is not None
            member = inside.member_at(queue)
            asyncio.get_running_loop().call_soon(member.over, member.session_id)
            try:
                await asyncio.sleep(1000)
            finally:
                cancelled.append(task.cancelling())

        await queue.put_many(range(5))
        async with working(queue, hang, 5, 0.2, concurrency=1):
            async with asyncio.timeout(100):
                await queue.join()
        assert cancelled == [1]
        assert (await queue.statistics()).acked_total == 5


async def test_what_is_set_aside_when_the_session_ends_is_not_handled(url: str, name: str) -> None:
    seen = Seen()
    async with Session.open(url, ttl=2) as session:
        queue = Queue(session, name, int)
        async with working(queue, seen, 5, NEVER):
            await queue.put_many(range(4))

            async def leased() -> int:
                return (await queue.statistics()).leased

            await until(leased, lambda count: count == 4)
            member = inside.member_at(queue)
            member.over(member.session_id)
            await until(leased, lambda count: count == 4)
            await queue.put(4)
            async with asyncio.timeout(100):
                await queue.join()
    assert [sorted(batch) for batch in seen.batches] == [[0, 1, 2, 3, 4]]


async def test_batches_do_not_wait_behind_a_stream_of_others(url: str, name: str) -> None:
    handled_before: list[int] = []
    plain = 0

    async def handle(_: Delivery[Any]) -> None:
        nonlocal plain
        plain += 1
        await asyncio.sleep(0)

    async def handle_batch(_: Batch[Any]) -> None:
        handled_before.append(plain)

    async with Session.open(url) as session:
        queue: Queue[Any] = Queue(session, name, BOTH)
        await queue.put_many([1, 2, *map(str, range(3000))])
        async with working(queue, handle_batch, 2, NEVER, handle=handle, concurrency=1):
            async with asyncio.timeout(100):
                await queue.join()
    assert plain == 3000
    assert handled_before[0] <= 16


@pytest.mark.parametrize("error", ["text", None, 7, ValueError])
async def test_what_fails_is_an_exception(queue: Queue[int], error: Any) -> None:
    said: list[str] = []

    def fail(batch: Batch[int]) -> None:
        with pytest.raises(TypeError, match="fails with an exception") as refused:
            batch.fail(batch[0], error)
        said.append(str(refused.value))

    await queue.put(1)
    async with working(queue, Seen(fail), 1, NEVER):
        async with asyncio.timeout(40):
            await queue.join()
    assert len(said) == 1
    assert (await queue.statistics()).acked_total == 1


def test_rules_with_a_batch_need_what_handles_batches() -> None:
    with pytest.raises(ValueError, match="handle_batch"):
        Worker(None, alone, rules={int: Rules(batch=Gather(1, 1))})  # type: ignore[arg-type]
