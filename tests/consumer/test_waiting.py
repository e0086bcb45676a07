"""Retry(counts=False): a message that waits for a precondition spends no attempt, and does not wait for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import create_model
from redis.asyncio import Redis

from consumer.outcomes import Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.encoding import entry as entries
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.waiting import until
from tests.instruments.workers import working

TWICE = {int: Rules(attempts=2, backoff=Backoff(first=0))}


def recorded(
    seen: list[Delivery[int]], outcome: Callable[[Delivery[int]], Exception | None]
) -> Callable[[Delivery[int]], Awaitable[None]]:
    async def handle(delivery: Delivery[int]) -> None:
        seen.append(delivery)
        error = outcome(delivery)
        if error is not None:
            raise error

    return handle


async def test_it_waits_without_spending_attempts(queue: Queue[int]) -> None:
    seen: list[Delivery[int]] = []
    handle = recorded(seen, lambda _: Retry(after=0.02, counts=False) if len(seen) < 8 else None)
    await queue.put(1)
    async with working(queue, handle, rules=TWICE), asyncio.timeout(40):
        await queue.join()
    assert [(delivery.attempt, delivery.failures) for delivery in seen] == [(n, 0) for n in range(1, 9)]
    assert seen[-1].first_error is None
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.dead) == (1, 0, 0)


@pytest.mark.parametrize("within", [0.0, 0.2])
async def test_once_it_has_waited_for_so_long_each_counts(queue: Queue[int], within: float) -> None:
    seen: list[Delivery[int]] = []
    handle = recorded(seen, lambda _: Retry(after=0.05, reason="no ticket yet", counts=False, within=within))
    await queue.put(1)
    async with working(queue, handle, rules=TWICE), asyncio.timeout(40):
        await queue.join()
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.failures, letter.first_error) == ("failed", 2, "no ticket yet")
    assert 1 <= len(seen) - 2 <= 1 + within / 0.05


async def test_failures_between_two_waits_count_and_keep_the_time(queue: Queue[int]) -> None:
    seen: list[Delivery[int]] = []
    outcomes: list[Exception | None] = [
        Retry(after=0.2, counts=False, within=0.1),
        LookupError("gone"),
        Retry(after=0.01, counts=False, within=60),
        Retry(after=0.01, counts=False, within=0.1),
        None,
    ]
    await queue.put(1)
    handle = recorded(seen, lambda _: outcomes[len(seen) - 1])
    async with working(queue, handle, rules={int: Rules(attempts=3, backoff=Backoff(first=0))}), asyncio.timeout(40):
        await queue.join()
    assert [delivery.failures for delivery in seen] == [0, 0, 1, 1, 2]


async def test_after_a_replay_it_may_wait_anew(queue: Queue[int]) -> None:
    seen: list[Delivery[int]] = []

    def outcome(_: Delivery[int]) -> Retry | None:
        return None if len(seen) == 6 else Retry(after=0.15, counts=False, within=0.1)

    await queue.put(1)
    async with working(queue, recorded(seen, outcome), rules=TWICE), asyncio.timeout(40):
        await queue.join()
        assert [delivery.failures for delivery in seen] == [0, 0, 1]
        assert await queue.replay() == 1
        await queue.join()
    assert [delivery.failures for delivery in seen] == [0, 0, 1] * 2


@pytest.mark.parametrize(
    "length,id_,error",
    [
        (1, None, "é" * 2000),
        (1, "x" * 128, '"waiting_since":1,' * 100),
        (1, '"waiting_since":17}', "boom"),
        (950, None, "boom"),
        (970, None, "boom"),
    ],
)
async def test_the_headers_have_room_for_since_when(
    session: Session, name: str, length: int, id_: str | None, error: str
) -> None:
    kind: Any = create_model("N" * length, a=(int, ...))
    queue: Queue[Any] = Queue(session, name, kind)
    seen: list[Delivery[Any]] = []
    outcomes = [ValueError(error), Retry(after=0.01, counts=False), Retry(after=0.01, counts=False), None]
    await queue.put(kind(a=1), id=id_)
    handle = recorded(seen, lambda _: outcomes[len(seen) - 1])
    rules = {kind: Rules(attempts=9, backoff=Backoff(first=0))}
    async with working(queue, handle, rules=rules), asyncio.timeout(40):
        await queue.join()
    # Where there is none each counts: nobody would know when the time is over.
    assert [delivery.failures for delivery in seen] == ([0, 1, 1, 1] if length < 970 else [0, 1, 2, 3])
    assert {delivery.id for delivery in seen} == {id_ or seen[0].id}


async def test_it_waits_among_the_delayed_and_what_is_remembered_of_headers_does_not_grow(
    queue: Queue[int], client: Redis, name: str
) -> None:
    before = len(entries._seen_headers)
    handle = recorded([], lambda delivery: Retry(after=0.2, counts=False) if delivery.attempt == 1 else None)
    await queue.put_many(range(20))
    async with working(queue, handle, concurrency=20), asyncio.timeout(40):
        await until(lambda: client.zcard(queue_keys(name)["delayed"]), lambda count: count == 20)
        assert (await queue.statistics()).delayed == 20
        await queue.join()
    assert len(entries._seen_headers) <= before + 1
