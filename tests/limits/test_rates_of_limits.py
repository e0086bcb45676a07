"""A rate is never exceeded by more than one burst, by the server's clock; and nobody polls for it (rules 26 and 27)."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty, Rate, Session
from tests.instruments.emptying import drain
from tests.instruments.waiting import until
from tests.limits.watching import at_rest, of
from tests.order.watching import take


async def server_time(client: Redis) -> float:
    seconds, micros = await client.time()
    return float(seconds + micros / 1e6)


async def scripts_run(client: Redis) -> int:
    return int((await client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_rule_26_a_rate_is_kept_and_plain_ones_are_not_held_up(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queues = [Queue(each, name, int) for each in (session, other)]
    rate = Rate(200, burst=10)
    await queues[0].limit("api", rate=rate)
    await queues[0].put_many(range(100), limit="api")
    await queues[0].put_many(range(1000, 1050))
    spans: list[tuple[float, float]] = []
    plain: list[float] = []
    began = await server_time(client)

    async def consume(queue: Queue[int]) -> None:
        while len(spans) + len(plain) < 150:
            asked = await server_time(client)
            try:
                async with asyncio.timeout(0.3), await queue.get() as item:
                    taken = await server_time(client)
                    if item < 1000:
                        spans.append((asked, taken))
                    else:
                        plain.append(taken)
            except TimeoutError:
                continue

    await asyncio.gather(*(consume(queue) for queue in queues for _ in range(3)))
    assert (len(spans), len(plain)) == (100, 50)
    # All of them took place between the begin and the end of any such time.
    ends = sorted(taken for _, taken in spans)
    assert 100 - rate.burst <= (ends[-1] - began) * rate.count
    worst = max(
        sum(first <= asked and taken <= last for asked, taken in spans) - rate.burst - (last - first) * rate.count
        for first, _ in spans
        for last in ends
        if first <= last
    )
    assert worst <= 0
    await at_rest(client, name)


async def test_rule_26_a_delivery_costs_its_token_though_it_is_given_back(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", rate=Rate(1, per=3600.0, burst=2))
    await queue.put_many(range(3), limit="api")
    await (await take(queue)).nack()
    second = await take(queue)
    assert second.item == 1  # it had been let go already
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    limit = await of(queue)
    assert limit.opens_in is not None
    assert 3000 < limit.opens_in <= 3600
    await second.ack()
    await queue.limit("api")
    assert await drain(queue) == [0, 2]


@pytest.mark.usefixtures("only_notified")
async def test_rule_27_of_the_idle_one_is_told_when_a_gate_opens(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queues = [Queue(each, name, int) for each in (session, other)]
    await queues[0].limit("api", rate=Rate(1, per=0.4))
    getting = [asyncio.create_task(queue.get()) for queue in queues for _ in range(2)]
    await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 2)
    before = await scripts_run(client)
    await queues[0].put_many(range(4), limit="api")
    done: list[Any] = []
    async with asyncio.timeout(30):
        for each in asyncio.as_completed(getting):
            done.append(await each)
            await done[-1].ack()
    assert sorted(delivery.item for delivery in done) == [0, 1, 2, 3]
    # One put; for each message its acknowledgement with what it takes, and a look or two; and heartbeats.
    assert await scripts_run(client) - before <= 30
    await at_rest(client, name)


async def test_an_idle_consumer_beside_a_full_gate_makes_two_calls_a_second_at_most(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.limit("api", at_once=1)
    await queue.limit("slow", rate=Rate(1, per=3600.0))
    await queue.put_many(range(20), limit="api")
    await queue.put_many(range(20), limit="slow")
    held = [await take(queue), await take(queue)]
    getting = asyncio.create_task(theirs.get())
    await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 1)
    before, began = await scripts_run(client), await server_time(client)
    await asyncio.sleep(1.5)  # it is the time that is counted, not awaited
    for number in range(20):
        await queue.put(number, limit="api")  # wakes nobody
    calls, seconds = await scripts_run(client) - before, await server_time(client) - began
    # Two sessions, whose heartbeats renew them every third of ten seconds; and the puts.
    assert calls - 20 - 2 * (1 + seconds // 3) <= 2 * seconds
    getting.cancel()
    await asyncio.wait({getting})
    for delivery in held:
        await delivery.ack()
    await queue.limit("slow")
    assert len(await drain(queue)) == 58


@pytest.mark.parametrize("ahead_us", [3_600_000_000, 10**14])
async def test_a_clock_that_went_back_holds_nothing_up(
    session: Session, client: Redis, name: str, ahead_us: int
) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", rate=Rate(20))
    await queue.put_many(range(3), limit="api")
    async with await take(queue):
        pass
    now = int(await server_time(client) * 1e6)
    # As if the clock had been so much ahead when one was delivered, and the gate was told when it opens.
    flow, opens = f"{{{name}}}:flow", f"{{{name}}}:opens"
    await client.hset(flow, "t:lapi", f"{now + ahead_us} 0")  # type: ignore[misc]  # redis-py
    await client.zadd(opens, {"lapi": now + ahead_us})
    async with asyncio.timeout(20):
        assert [(await self_acked(queue)) for _ in range(2)] == [1, 2]
    await at_rest(client, name)


async def self_acked(queue: Queue[int]) -> int:
    async with await queue.get() as item:
        return item
