"""Shares and priorities: who waits gets turns, however much others put (rules 21 to 23)."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from shared import Priority
from shared.concurrency import Delivery, Queue, QueueFull, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.waiting import until
from tests.order.watching import at_rest, take


async def handled(queue: Queue[int], count: int) -> list[Delivery[int]]:
    """Take and acknowledge so many, one at a time."""
    seen = []
    for _ in range(count):
        delivery = await take(queue)
        seen.append(delivery)
        await delivery.ack()
    return seen


@pytest.mark.parametrize("floods", [1, 16])
async def test_a_quiet_share_is_served_soon_behind_floods_that_fill_the_queue(
    session: Session, url: str, name: str, floods: int
) -> None:
    """Each flood has as many in the line as a process may have; the quiet one puts while they go in."""
    queue = Queue(session, name, int, maxsize=100)
    await queue.statistics()
    async with AsyncExitStack() as stack:
        flooding = []
        for number in range(floods):
            theirs = Queue(await stack.enter_async_context(Session.open(url)), name, int)
            flooding.append(asyncio.create_task(theirs.put_many(range(600), share=f"flood-{number}")))
        await until(queue.statistics, lambda seen: seen.pending + seen.puts_waiting >= 250 * floods)
        await handled(queue, 50)
        quiet = asyncio.create_task(Queue(session, name, int).put(-1, share="quiet"))
        await until(queue.statistics, lambda _: True)
        before = 0
        while (await handled(queue, 1))[0].share != "quiet":
            before += 1
        await quiet
        assert before <= 20
        for each in flooding:
            each.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
    while (await queue.statistics()).pending:
        await handled(queue, 1)
    await at_rest(queue)


async def test_priorities_get_64_to_8_to_1(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    for priority in Priority:
        await queue.put_many(range(700), priority=priority)
    seen = [delivery.priority for delivery in await handled(queue, 730)]
    count = Counter(seen)
    for priority, fair in zip(Priority, (640, 80, 10), strict=True):
        assert 0.8 * fair <= count[priority] <= 1.2 * fair
    lows = [at for at, priority in enumerate(seen) if priority is Priority.LOW]
    assert max(after - before for before, after in pairwise(lows)) <= 73
    await handled(queue, 2100 - 730)
    await at_rest(queue)


async def test_shares_get_turns_alike_and_each_keeps_its_order(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(100), share="a")
    await queue.put_many(range(20), share="b")
    await queue.put_many(range(10))
    seen = [(delivery.share, delivery.item) for delivery in await handled(queue, 130)]
    for share in ("a", "b", None):
        items = [item for of, item in seen if of == share]
        assert items == sorted(items)
    first = Counter(share for share, _ in seen[:30])
    assert first == {"a": 10, "b": 10, None: 10}
    await at_rest(queue)


async def test_what_was_silent_is_served_next_but_one_and_gets_no_more_for_it(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(100), share="a")
    await handled(queue, 50)
    await queue.put_many(range(50), share="b")
    shares = [delivery.share for delivery in await handled(queue, 20)]
    assert "b" in shares[:2]
    assert Counter(shares) == {"a": 10, "b": 10}
    await handled(queue, 80)
    await at_rest(queue)


async def test_a_retry_pays_with_its_own_share(session: Session, name: str) -> None:
    """A share whose messages all fail at once does not use the turns of others."""
    queue = Queue(session, name, int, max_attempts=999)
    await queue.put_many(range(5), share="failing")
    await queue.put_many(range(20), share="good")
    attempts: Counter[str | None] = Counter()
    while attempts["good"] < 20:
        delivery = await take(queue)
        attempts[delivery.share] += 1
        await (delivery.nack() if delivery.share == "failing" else delivery.ack())
    assert attempts["failing"] <= 21
    await handled(queue, 5)
    await at_rest(queue)


async def test_what_is_due_again_pays_too(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(3), share="failing")
    for _ in range(3):
        await (await take(queue)).nack(delay=0.01)
    await queue.put_many(range(9), share="good")
    await until(queue.statistics, lambda seen: seen.delayed == 3)
    await asyncio.sleep(0.02)
    shares = [delivery.share for delivery in await handled(queue, 12)]
    assert Counter(shares[:6]) == {"failing": 3, "good": 3}
    await at_rest(queue)


async def test_a_share_counts_as_pending_and_takes_up_room(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=3)
    await queue.put_many(range(2), share="a")
    await queue.put(2, priority=Priority.LOW)
    with pytest.raises(QueueFull):
        await queue.put_nowait(3, share="b")
    assert await queue.qsize() == 3
    delivery = await take(queue)
    await delivery.nack()
    seen = await queue.statistics()
    assert (seen.pending, seen.delayed) == (2, 1)
    with pytest.raises(QueueFull):
        await queue.put_nowait(3, share="b")
    await handled(queue, 3)
    await at_rest(queue)


async def test_shut_down_at_once_all_of_them_are_dead_letters(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=4)
    await queue.put_many(range(3), share="a")
    await queue.put(3, priority=Priority.HIGH)
    waiting = asyncio.gather(*(queue.put(7, share="b") for _ in range(3)), return_exceptions=True)
    await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    await queue.shutdown(immediate=True)
    assert [type(each).__name__ for each in await waiting] == ["QueueShutDown"] * 3
    assert (await queue.statistics()).dead == 4
    await queue.reopen()
    await at_rest(queue)
    assert await queue.replay() == 4
    assert Counter(delivery.share for delivery in await handled(queue, 4)) == {"a": 3, None: 1}
    await at_rest(queue)


async def test_a_put_of_a_share_that_waits_can_be_withdrawn(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1, share="a")
    waiting = asyncio.create_task(queue.put(2, share="b"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await queue.statistics()).puts_waiting == 0
    assert [delivery.item for delivery in await handled(queue, 1)] == [1]
    await at_rest(queue)


async def test_a_weight_gives_a_share_so_many_turns(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.weigh("a", 3)
    await queue.put_many(range(90), share="a")
    await queue.put_many(range(30), share="b")
    assert Counter(delivery.share for delivery in await handled(queue, 40)) == {"a": 30, "b": 10}
    listed = {each.share: each for each in await queue.shares()}
    assert {share: each.weight for share, each in listed.items()} == {"a": 3.0, "b": 1.0}
    assert abs(listed["a"].pending - 60) <= 3
    assert abs(listed["b"].pending - 20) <= 1
    await queue.weigh("a", 1)
    await handled(queue, 80)
    assert await queue.shares() == []
    await at_rest(queue)


async def test_what_is_taken_under_weights_is_not_looked_up_one_by_one(server: EmbeddedServer, name: str) -> None:
    async with Redis.from_url(server.url, protocol=3) as client, Session.open(server.url, ttl=60) as session:
        queue = Queue(session, name, int)
        await queue.weigh("a", 3)
        await queue.put_many(range(200), share=lambda number: "ab"[number % 2])
        await client.config_resetstat()
        async with await queue.get_many(200, within=5.0) as batch:
            assert len(batch) > 0
        used: Any = await client.info("commandstats")
    # It was one for each message, of a field that no queue has.
    assert used["cmdstat_hget"]["calls"] < 20 + len(batch) // 10


async def test_the_largest_shares_are_listed_with_what_they_have_in_the_line(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=10)
    assert await queue.shares() == []
    for count, share in ((3, "small"), (7, "large")):
        await queue.put_many(range(count), share=share)
    waiting = [asyncio.create_task(queue.put(number, share="large")) for number in range(5)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 5)
    first, second = await queue.shares()
    assert (first.share, first.pending, first.puts_waiting) == ("large", 7, 5)
    assert (second.share, second.pending, second.puts_waiting) == ("small", 3, 0)
    assert await queue.shares(1) == [first]
    await handled(queue, 15)
    await asyncio.gather(*waiting)
    await at_rest(queue)


@pytest.mark.parametrize("weight", [0, -1, 0.0001, 1001, float("nan"), float("inf"), True, "3", None])
async def test_what_is_no_weight_is_refused_before_anything_is_sent(
    session: Session, name: str, client: Redis, weight: Any
) -> None:
    queue = Queue(session, name, int)
    with pytest.raises(ValueError, match=r"weight is a number from 0\.001 to 1000"):
        await queue.weigh("a", weight)
    with pytest.raises(ValueError, match="a share is a text"):
        await queue.weigh("", 1)
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


async def test_shares_that_are_new_each_time_neither_starve_low_nor_leave_tags(
    session: Session, name: str, client: Redis
) -> None:
    """Each begins where time is: that must go on, though nobody comes twice."""
    queue = Queue(session, name, int)
    await queue.put(-1, priority=Priority.LOW)
    await handled(queue, 1)
    await queue.put_many([-2, -3], priority=Priority.LOW)
    await queue.put_many(range(4), share=lambda number: f"begins-{number}")
    seen: list[int] = []
    for number in range(260):
        await queue.put(number, share=f"once-{number}")
        seen += [delivery.item for delivery in await handled(queue, 1)]
    lows = [at for at, item in enumerate(seen) if item < 0]
    assert len(lows) == 2
    assert lows[1] - lows[0] <= 100
    tags: Any = client.hlen(f"{{{name}}}:tags")
    assert await tags <= 200
    await handled(queue, 6)
    await at_rest(queue)


async def test_another_share_is_let_in_at_once_beside_one_that_is_stuck(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=16)
    await queue.put_many(range(3), key="k", share="stuck")
    held = await take(queue)
    waiting = [asyncio.create_task(queue.put(number, key="k", share="stuck")) for number in (3, 4)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    assert await queue.put_nowait(7, share="other")
    assert await queue.put_nowait(8, priority=Priority.HIGH)
    assert {delivery.item for delivery in await handled(queue, 2)} == {7, 8}
    await held.ack()
    assert [delivery.item for delivery in await handled(queue, 4)] == [1, 2, 3, 4]
    await asyncio.gather(*waiting)
    await at_rest(queue)
