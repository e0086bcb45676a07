"""A line of very many waiting puts: each call goes along a part of it, and whoever comes next goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.concurrency import Queue, QueueShutDown, Session
from shared.concurrency.session.scripts import load
from shared.local.embedded import EmbeddedServer
from tests.instruments.grown import stand_in_line
from tests.instruments.inside import operate_at, owner_at, pass_deadline, session_id_at, session_of
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.waiting import until

MANY = 200
"""Processes with 500 puts each."""
PART = 1000
"""Places that one call goes along at most."""

pytestmark = pytest.mark.slow


@pytest.fixture
async def queue(queue: Queue[int]) -> Queue[int]:
    """A full queue."""
    await queue.resize(1)
    await queue.put(0)
    return queue


async def in_line(client: Any) -> tuple[int, int]:
    """Places, and puts that wait at them."""
    return await client.llen("{jobs}:line"), await client.hlen("{jobs}:bodies")


async def waits(queue: Queue[int], count: int) -> None:
    await until(queue.statistics, lambda seen: seen.puts_waiting == count)


async def test_statistics_with_100_000_in_line(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    assert (await queue.statistics()).puts_waiting == 100_000
    assert "putters" not in load("statistics").keys  # counted without going along it


async def test_a_shutdown_with_100_000_in_line(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    putting = asyncio.create_task(queue.put_many([1, 2]))
    await waits(queue, 100_002)
    async with timed(client) as calls:
        await queue.shutdown()
    assert len(calls.milliseconds) >= 100_000 / PART
    assert calls.worst < GENEROUS
    with pytest.raises(QueueShutDown):
        await putting
    assert await in_line(client) == (0, 0)
    told = await client.hget("{jobs}:lanes", "000000000200:line")
    assert told.split()[2:] == [b"-000000000200%010d" % number for number in range(1, 501)]


async def test_a_shutdown_whose_client_dies_goes_on(client: Any, queue: Queue[int]) -> None:
    """Those who wait look once a second, and go along the line too."""
    await stand_in_line(client, 10)
    putting = asyncio.create_task(queue.put(1))
    await waits(queue, 5001)
    assert await operate_at(queue, "shutdown", 0, 1) == 4001
    with pytest.raises(QueueShutDown):
        await putting
    assert (await in_line(client))[1] < 4001


async def test_nobody_who_waited_at_a_shutdown_gets_in_though_it_was_not_done_at_a_reopen(
    client: Any, queue: Queue[int]
) -> None:
    await stand_in_line(client, 10)
    await operate_at(queue, "shutdown", 0, 1)
    await queue.reopen()
    assert await in_line(client) == (0, 0)
    await queue.resize(0)
    await queue.put(1)
    assert (await queue.statistics()).pending == 2
    # Whoever began it goes on, and does nothing.
    assert await operate_at(queue, "shutdown", 0, 0) == 0
    assert not (await queue.statistics()).is_shut_down


async def test_an_immediate_shutdown_whose_client_dies_goes_on(queue: Queue[int]) -> None:
    await queue.resize(0)
    await queue.put_many(range(2000))
    assert await operate_at(queue, "shutdown", 1, 1) in (1501, 1751)  # 500 of them, or 250 with the flow set
    with pytest.raises(QueueShutDown):
        await queue.get()
    seen = await queue.statistics()
    assert (seen.pending, seen.dead) == (0, 2001)


async def test_forwarded_puts_stay_in_a_long_line_that_is_shut_down(client: Any, queue: Queue[int]) -> None:
    """They are admitted in their order, and it is known how many wait."""
    await stand_in_line(client, 3)
    source = Queue(session_of(queue), "source", int)
    await source.put(0)
    delivery = await source.get()
    for number in range(1, 6):
        delivery.effects.put(queue, number)
    await delivery.ack()
    await stand_in_line(client, 3)
    async with timed(client) as calls:
        await queue.shutdown()
    assert calls.worst < GENEROUS
    seen = await queue.statistics()
    assert (seen.puts_waiting, seen.forwards_waiting) == (5, 5)
    got = [item async for item in handled(queue)]
    assert got == [0, 1, 2, 3, 4, 5]
    assert await in_line(client) == (0, 0)
    assert await client.hget("{jobs}:totals", "onward") == b"0"


async def handled(queue: Queue[int]) -> AsyncIterator[int]:
    """All items until the end, each acknowledged."""
    async for delivery in queue:
        async with delivery as item:
            yield item


async def test_500_withdrawals_at_the_end_of_a_line_of_100_000(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    putting = asyncio.create_task(queue.put_many(range(500)))
    await waits(queue, 100_500)
    async with timed(client) as calls:
        putting.cancel()
        await asyncio.wait({putting})
    assert calls.worst < GENEROUS
    assert await in_line(client) == (100_000, 100_000)


async def test_a_withdrawal_within_a_long_line(client: Any, queue: Queue[int]) -> None:
    """Its place is passed over; what stands behind it keeps its turn."""
    first = asyncio.create_task(queue.put(1))
    await waits(queue, 1)
    gone = asyncio.create_task(queue.put(2))
    await waits(queue, 2)
    third = asyncio.create_task(queue.put(3))
    await waits(queue, 3)
    await stand_in_line(client, 3)
    gone.cancel()
    await asyncio.wait({gone})
    assert await in_line(client) == (1503, 1502)
    await waits(queue, 1502)
    for expected in (0, 1, 3):
        async with await queue.get() as item:
            assert item == expected
    await asyncio.gather(first, third)


async def test_what_is_put_again_in_a_long_line_waits_at_its_new_place_only(
    client: Any, queue: Queue[int], server: EmbeddedServer
) -> None:
    """Behind one that was dropped with its session, in their order: each has a place at the end, and leaves one."""
    putting = asyncio.create_task(queue.put_many([1, 2]))
    await waits(queue, 2)
    first = min(await client.hkeys("{jobs}:bodies"))
    await stand_in_line(client, 3)
    for _ in range(3):
        await client.hdel("{jobs}:bodies", first)  # as where its turn came while its session was over
        pass_deadline(session_of(queue), "jobs")
        await until(lambda: put_again(client, queue, mark=b"@"), bool)
    assert (await in_line(client))[1] == 1502
    async with Session.open(server.url) as session:
        other = Queue(session, "jobs", int)
        await other.resize(1500)
        assert (await other.statistics()).puts_waiting == 3
        assert not putting.done()
        await other.resize(0)
    await putting
    assert await in_line(client) == (0, 0)
    bodies = [entry[-1:] for entry in await client.lrange("{jobs}:pending", -2, -1)]
    assert bodies == [b"1", b"2"]
    assert await client.llen("{jobs}:pending") == 1503


async def test_what_is_in_line_when_its_session_is_over_keeps_its_place(
    client: Any, queue: Queue[int], server: EmbeddedServer
) -> None:
    putting = asyncio.create_task(queue.put_many([1, 2]))
    await waits(queue, 2)
    line = await client.lrange("{jobs}:line", 0, -1)
    await stand_in_line(client, 1)
    before = session_id_at(queue)
    pass_deadline(session_of(queue), "jobs")
    await until(lambda: asyncio.sleep(0, session_id_at(queue)), lambda id_: id_ != before)
    await until(lambda: put_again(client, queue, mark=b" "), bool)
    assert await client.lrange("{jobs}:line", 0, 1) == line
    async with Session.open(server.url) as session:
        await Queue(session, "jobs", int).resize(0)
    await putting
    pending = await client.lrange("{jobs}:pending", -502, -501)
    assert [entry[-1:] for entry in pending] == [b"1", b"2"]


async def put_again(client: Any, queue: Queue[int], *, mark: bytes) -> bool:
    """Whether all that waits of the queue's own process waits under its present session; `mark`: what places have."""
    found = await client.hgetall("{jobs}:bodies")
    ours = [body for key, body in found.items() if key.startswith(owner_at(queue).encode())]
    return all(body.startswith(session_id_at(queue).encode() + mark) for body in ours)


async def test_puts_that_give_up_again_and_again_leave_no_places(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, 4)
    for _ in range(20):
        putting = asyncio.create_task(queue.put_many(range(50)))
        await waits(queue, 2050)
        putting.cancel()
        await asyncio.wait({putting})
    assert await in_line(client) == (2000, 2000)


async def test_a_resize_lets_in_100_000(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    async with timed(client) as calls:
        await queue.resize(0)
    assert len(calls.milliseconds) >= 100_000 / PART
    assert calls.worst < GENEROUS
    assert (await queue.statistics()).pending == 100_001
    assert await in_line(client) == (0, 0)


async def test_a_resize_that_goes_on_keeps_a_later_bound(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, 10)
    assert await operate_at(queue, "resize", 0) == 1
    await queue.resize(7)
    assert await operate_at(queue, "resize", "") == 0
    seen = await queue.statistics()
    assert (seen.maxsize, seen.puts_waiting) == (7, 5000 - PART)


async def test_a_put_that_finds_room_for_100_000_lets_in_a_part(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    await client.hset("{jobs}:settings", "maxsize", 0)
    async with timed(client) as calls:
        putting = asyncio.create_task(queue.put(1))
        await until(queue.statistics, lambda seen: seen.pending > 1)
    assert calls.worst < GENEROUS
    seen = await queue.statistics()
    assert (seen.pending, seen.puts_waiting) == (1 + PART, 100_001 - PART)
    putting.cancel()
    await asyncio.wait({putting})


async def test_a_take_that_finds_room_for_100_000_lets_in_a_part(client: Any, queue: Queue[int]) -> None:
    await stand_in_line(client, MANY)
    await client.hset("{jobs}:settings", "maxsize", 0)
    async with timed(client) as calls, await queue.get() as item:
        assert item == 0
    assert calls.worst < GENEROUS


@pytest.mark.usefixtures("only_notified")
async def test_a_take_goes_on_along_a_line_of_the_dead(client: Any, queue: Queue[int]) -> None:
    """It asks again at once, not at the look of insurance."""
    putting = asyncio.create_task(queue.put(1))
    await stand_in_line(client, 20)
    await waits(queue, 10_001)
    last = await client.lpop("{jobs}:line")
    await client.rpush("{jobs}:line", last)
    await client.zrem("{jobs}:sessions", *(f"{process:012d}.1.60000" for process in range(1, 21)))
    async with asyncio.timeout(100):
        for expected in (0, 1):
            async with await queue.get() as item:
                assert item == expected
    await putting
