"""What a consumer service measures, and writes with its renewals: waiting, handling, how many at once."""

import asyncio
import json
import random
from bisect import bisect_left
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.batches import Gather
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from shared.concurrency import Batch, Delivery, Queue, Session
from shared.concurrency.queues.membership.load import Load
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.histogram import BOUNDS
from tests.instruments import inside
from tests.instruments.inside import renew_now, session_id_at
from tests.instruments.waiting import resolved, until
from tests.instruments.workers import working

NOW = 1_700_000_000.0


def entry(age: float, *, deliveries: int = 0) -> bytes:
    stamp = round((NOW - age) * 1e6)
    return b"%016d%s0%06d000.000{}" % (stamp, b"a" * 22, deliveries)


def measured(entries: list[bytes]) -> Load:
    load = Load(1)
    load.note_clock(round(NOW * 1000))
    load.taken(entries)
    return load


@pytest.mark.parametrize("seed", range(20))
def test_portions_are_measured_as_if_each_was_looked_at(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secret
    # Between bounds and not at them, for the clock goes on while it is measured.
    ages = [chance.choice(BOUNDS[6:]) * chance.uniform(1.1, 1.9) for _ in range(chance.randint(1, 250))]
    ages.sort(reverse=True)
    before = [entry(7.0, deliveries=chance.randint(1, 3)) for _ in range(chance.randint(0, 5))]
    expected = [0] * (len(BOUNDS) + 1)
    for age in ages:
        expected[bisect_left(BOUNDS, age)] += 1
    load = measured(before + [entry(age) for age in ages])
    assert load.waiting.counts == expected
    # At even distances, or nearly: never beyond the longest and the shortest.
    assert len(ages) * ages[-1] - 1 < load.waiting.seconds < len(ages) * ages[0] + 1


def test_nothing_is_measured_of_what_was_delivered_before_or_cannot_be_read() -> None:
    assert sum(measured([]).waiting.counts) == 0
    assert sum(measured([entry(7.0, deliveries=1)] * 3).waiting.counts) == 0
    assert sum(measured([b"?" * 60] * 3).waiting.counts) == 0
    # Nobody waited for less than no time, whatever another program wrote.
    assert measured([entry(-100.0)]).waiting.counts[0] == 1


def test_an_entry_out_of_order_ends_no_loop() -> None:
    load = measured([entry(0.07), entry(7.0), entry(0.07), entry(700.0), entry(0.0)])
    assert sum(load.waiting.counts) == 5


async def kept(client: Redis, queue: Queue[Any]) -> dict[str, Any]:
    """What the queue keeps of this session, after a renewal."""
    field = f"{session_id_at(queue)}:load"
    await resolved(client.hdel(f"{{{queue.name}}}:lanes", field))
    renew_now(inside.session_of(queue))
    found: Any = await until(lambda: resolved(client.hget(f"{{{queue.name}}}:lanes", field)), bool)
    said: dict[str, Any] = json.loads(found.partition(b" ")[2])
    return said


async def test_a_renewal_carries_what_was_measured(client: Redis, queue: Queue[int]) -> None:
    began = boottime()
    failed: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item % 100 == 0:
            await asyncio.sleep(0.03)  # the handler is slow: that is what is measured
        if delivery.item == 7 and not failed:
            failed.append(7)
            raise ValueError("once")

    await queue.put_many(range(300))
    # What failed does not come again while we look.
    rules = {int: Rules(backoff=Backoff(first=3600, longest=3600))}
    async with working(queue, handle, concurrency=3, rules=rules):
        await until(queue.statistics, lambda seen: seen.acked_total == 299)
        said = await kept(client, queue)
    spent = boottime() - began
    assert said["concurrency"] == 3
    assert sum(said["waiting"]["counts"]) == 300
    assert sum(said["handling"]["counts"]) == 300
    slow = sum(said["handling"]["counts"][bisect_left(BOUNDS, 0.03) :])
    assert slow >= 3
    assert 3 * 0.029 < said["handling"]["seconds"] < 3 * spent
    assert 0.0 <= said["waiting"]["seconds"] < 300 * spent


async def test_a_batch_counts_once_for_each_delivery(client: Redis, queue: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        raise AssertionError

    async def handle_batch(_: Batch[int]) -> None:
        await asyncio.sleep(0.03)

    await queue.put_many(range(20))
    rules = {int: Rules(batch=Gather(most=10, within=5.0))}
    async with working(queue, handle, rules=rules, handle_batch=handle_batch):
        await until(queue.statistics, lambda seen: seen.acked_total == 20)
        said = await kept(client, queue)
    assert sum(said["waiting"]["counts"]) == sum(said["handling"]["counts"]) == 20
    assert sum(said["handling"]["counts"][bisect_left(BOUNDS, 0.03) :]) == 20


async def test_it_goes_with_the_session(client: Redis, url: str, queue: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        pass

    async with Session.open(url) as session:
        there = Queue(session, queue.name, int)
        async with working(there, handle):
            await kept(client, there)
        field = f"{session_id_at(there)}:load"
    assert not await resolved(client.hexists(f"{{{queue.name}}}:lanes", field))


async def test_who_serves_nobody_measures_nothing(client: Redis, queue: Queue[int]) -> None:
    await queue.put(1)
    async with await queue.get():
        pass
    sessions, session_id = f"{{{queue.name}}}:sessions", session_id_at(queue)
    before = await client.zscore(sessions, session_id)
    renew_now(inside.session_of(queue))
    await until(lambda: client.zscore(sessions, session_id), lambda deadline: deadline > before)
    assert [field for field in await resolved(client.hkeys(f"{{{queue.name}}}:lanes")) if b":load" in field] == []
