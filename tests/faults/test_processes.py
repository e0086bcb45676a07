"""Several OS processes at one queue: killed, stopped and continued. Nothing that was put is lost."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue
from tests.instruments import programs
from tests.instruments.census import take_census
from tests.instruments.emptying import take
from tests.instruments.processes import Process, running
from tests.instruments.waiting import until

TTL = 1.0

pytestmark = [pytest.mark.timeout(180), pytest.mark.session_ttl(TTL)]


async def live_sessions(client: Redis, name: str) -> int:
    """How many sessions of the queue have not passed their deadline."""
    seconds, microseconds = await client.time()
    live: int = await client.zcount(f"{{{name}}}:sessions", seconds * 1000 + microseconds // 1000, "+inf")
    return live


async def test_a_put_waits_across_processes_and_the_order_is_kept(url: str, name: str, queue: Queue[int]) -> None:
    await queue.resize(3)
    async with running(programs.produce, url, name, TTL, 0, 40) as producer:
        await producer.said("putting", 4)
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
        assert producer.reports("put") == [0, 1, 2]
        assert await take(queue, 1) == [0]
        await producer.said("put", 4)
        assert await take(queue, 39) == list(range(1, 40))
        await producer.said("end")
        assert await producer.ended() == 0


async def test_a_consumer_that_is_killed_loses_nothing(url: str, name: str, queue: Queue[int]) -> None:
    await queue.put_many(range(10))
    async with running(programs.hold, url, name, TTL, 4) as consumer:
        await consumer.said("got", 4)
        await consumer.kill()
    # The rest at once; what it held when its session's deadline has passed, in its old order.
    assert await take(queue, 6) == [4, 5, 6, 7, 8, 9]
    assert await take(queue, 4, seconds=10 * TTL) == [0, 1, 2, 3]
    statistics = await queue.statistics()
    assert (statistics.recovered_total, statistics.acked_total) == (4, 10)


async def test_a_producer_that_is_killed_while_it_waits_delays_nobody(
    url: str, name: str, queue: Queue[int], client: Redis
) -> None:
    await queue.resize(1)
    await queue.put(0)
    async with (
        running(programs.produce_many, url, name, TTL, 100, 20) as doomed,
        running(programs.produce, url, name, TTL, 200, 1) as patient,
    ):
        await until(queue.statistics, lambda statistics: statistics.puts_waiting >= 20)
        await patient.said("putting")
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 21)
        await doomed.kill()
        # Until then its entries may still be let in: it could have been only slow.
        await until(partial(live_sessions, client, name), lambda live: live == 2)
        assert await take(queue, 2) == [0, 200]
        assert await patient.said("put") == 200
    statistics = await queue.statistics()
    assert (statistics.put_total, statistics.puts_waiting) == (2, 0)


async def test_acking_after_a_stop_longer_than_the_time_to_live_is_stale(
    url: str, name: str, queue: Queue[int]
) -> None:
    await queue.put(1)
    async with running(programs.ack_when_continued, url, name, TTL) as consumer:
        await consumer.said("got")
        consumer.stop()
        assert await take(queue, 1, seconds=10 * TTL) == [1]
        consumer.cont()
        assert await consumer.said("stale") == 1
        await queue.put(2)
        assert await consumer.said("went on with") == 2
        assert await consumer.ended() == 0
    assert consumer.reports("acked") == []
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.recovered_total) == (2, 1)


async def test_the_body_is_cancelled_after_a_stop_longer_than_the_time_to_live(
    url: str, name: str, queue: Queue[int]
) -> None:
    await queue.put(1)
    async with running(programs.handle_when_stopped, url, name, TTL) as consumer:
        await consumer.said("got")
        consumer.stop()
        assert await take(queue, 1, seconds=10 * TTL) == [1]
        consumer.cont()
        await consumer.said("cancelled")
        await consumer.said("stale")
        await queue.put(2)
        assert await consumer.said("went on with") == 2
        assert await consumer.ended() == 0
    assert (await queue.statistics()).acked_total == 2


async def test_puts_that_wait_in_a_stopped_process_go_in_once_it_goes_on(
    url: str, name: str, queue: Queue[int], client: Redis
) -> None:
    await queue.resize(1)
    await queue.put(0)
    async with running(programs.produce_many, url, name, TTL, 1, 5) as producer:
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 5)
        producer.stop()
        # It is over once its deadline has passed: what frees room then drops its entries.
        await until(partial(live_sessions, client, name), lambda live: live == 1)
        assert await take(queue, 1) == [0]
        assert (await queue.statistics()).puts_waiting == 0
        producer.cont()
        assert await take(queue, 5) == [1, 2, 3, 4, 5]
        assert await producer.ended() == 0
    assert (await queue.statistics()).put_total == 6


async def test_kill_after_kill_loses_nothing(url: str, name: str, queue: Queue[int], client: Redis) -> None:
    """Producers and consumers are killed at random; everything whose put returned arrives, and nothing else."""
    chance = random.Random(4)  # noqa: S311  # no secret
    await queue.resize(10)
    each, lives = 50, 3
    async with AsyncExitStack() as stack:
        consumers: list[Process] = []
        killed: list[Process] = []
        producers: list[Process] = []

        async def consumer() -> None:
            consumers.append(await stack.enter_async_context(running(programs.consume, url, name, TTL)))
            await consumers[-1].said("ready")

        async def kill_one_that_takes(count: int) -> None:
            """Kill the first that has taken so many more: the load of the machine decides which one that is."""
            alive = [process for process in consumers if process not in killed]
            waits = [asyncio.create_task(process.said("got", len(process.reports("got")) + count)) for process in alive]
            done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in pending:
                wait.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            first = next(wait for wait in waits if wait in done)
            await first
            killed.append(alive[waits.index(first)])
            await killed[-1].kill()

        async def producer(first: int) -> None:
            producers.append(await stack.enter_async_context(running(programs.produce, url, name, TTL, first, each)))

        await asyncio.gather(consumer(), consumer(), producer(0), producer(1000))
        for life in range(2, 2 + lives):
            await kill_one_that_takes(chance.randrange(1, 8))
            await consumer()
            doomed = producers[-1]
            await doomed.said("putting", chance.randrange(1, 20))
            await asyncio.gather(doomed.kill(), producer(1000 * life))
        await asyncio.gather(*(process.ended(30) for process in (producers[0], producers[-1])))
        async with asyncio.timeout(100):
            await queue.join()
        await queue.shutdown()
        await asyncio.gather(*(process.ended(30) for process in consumers))
    promised = {item for process in producers for item in process.reports("put")}
    attempted = {item for process in producers for item in process.reports("putting")}
    got = Counter(item for process in consumers for item in process.reports("got"))
    assert promised <= set(got), f"lost: {sorted(promised - set(got))}"
    assert set(got) <= attempted
    statistics = await queue.statistics()
    # A repetition needs a crash: as many at most as were taken back from the dead.
    assert sum(got.values()) - len(got) <= statistics.recovered_total
    assert statistics.dead == 0
    census = await take_census(client, name)
    census.check()
    assert census.unfinished == 0
