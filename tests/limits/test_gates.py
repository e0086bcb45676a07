"""What is over its limit waits at a gate: no attempt, no worker, no poll (rules 24 and 25)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, Priority, Queue, QueueEmpty, Rate, Session
from tests.instruments.emptying import drain
from tests.instruments.waiting import until
from tests.limits.watching import at_rest, of
from tests.order.watching import take

Settle = Callable[[Queue[int], Delivery[int]], Awaitable[object]]


async def take_all(queue: Queue[int]) -> list[Delivery[int]]:
    """What can be taken now."""
    found = []
    while True:
        try:
            found.append(await queue.get_nowait())
        except QueueEmpty:
            return found


async def test_rule_24_so_many_are_in_hands_and_plain_ones_go_by(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.limit("api", at_once=3)
    await queue.put_many(range(10), limit="api")
    await queue.put_many(range(100, 105))
    seen = await queue.statistics()
    assert (seen.pending, seen.at_limits) == (15, 7)
    held = [*await take_all(queue), *await take_all(theirs)]
    assert sorted(delivery.item for delivery in held) == [0, 1, 2, *range(100, 105)]
    assert all(delivery.attempt == 1 for delivery in held)
    limit = await of(queue)
    assert (limit.at_once, limit.rate, limit.running, limit.waiting, limit.puts_waiting) == (3, None, 3, 7, 0)
    for delivery in held:
        await delivery.ack()
    while (await queue.statistics()).pending:
        held = await take_all(theirs)
        assert len(held) == min(3, len(held))
        for delivery in held:
            await delivery.ack()
    await at_rest(client, name)


async def cancelled(queue: Queue[int], delivery: Delivery[int]) -> None:
    await queue.cancel(delivery.id, timeout=0)
    with pytest.raises(Exception, match="cancelled"):
        async with delivery:
            await asyncio.Event().wait()


SETTLED: dict[str, Settle] = {
    "ack": lambda _, delivery: delivery.ack(),
    "ack with a result": lambda _, delivery: delivery.ack(result=1),
    "nack": lambda _, delivery: delivery.nack(),
    "nack with delay": lambda _, delivery: delivery.nack(delay=60.0),
    "dead letter": lambda _, delivery: delivery.dead_letter("unwanted"),
    "cancel": cancelled,
}


@pytest.mark.parametrize("how", SETTLED)
async def test_rule_24_whatever_ends_a_delivery_frees_its_place(
    session: Session, other: Session, name: str, how: str
) -> None:
    queue, theirs = Queue(session, name, int, max_attempts=9), Queue(other, name, int)
    await queue.limit("api", at_once=1)
    await queue.put_many([0, 1], limit="api")
    delivery = await take(queue)
    assert not await take_all(theirs)
    await SETTLED[how](queue, delivery)
    next_one = await take(theirs)
    # One that comes back goes before those that were never delivered.
    assert next_one.item == (0 if how == "nack" else 1)
    assert not await take_all(queue)
    await next_one.ack()
    if how == "nack":
        async with await take(theirs) as item:
            assert item == 1


async def test_rule_24_one_that_waits_for_its_retry_holds_no_place_and_goes_before_new_ones(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=1)
    await queue.put_many(range(3), limit="api")
    await (await take(queue)).nack(delay=0.05)
    second = await take(queue)
    assert second.item == 1
    await asyncio.sleep(0.1)
    assert not await take_all(queue)
    assert (await queue.statistics()).delayed == 1
    await second.ack()
    for expected in (0, 2):
        async with await take(queue) as item:
            assert item == expected
    await at_rest(client, name)


async def test_rule_24_a_session_that_ends_gives_its_places_back(
    url: str, session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=2)
    await queue.put_many(range(4), limit="api")
    async with Session.open(url) as ending:
        held = [await take(Queue(ending, name, int)) for _ in range(2)]
        assert not await take_all(queue)
    assert [delivery.item for delivery in held] == [0, 1]
    assert sorted(await drain(queue)) == [0, 1, 2, 3]
    await at_rest(client, name)


async def test_rule_25_a_message_has_the_limit_of_its_share_too(session: Session, client: Redis, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit_shares(at_once=2)
    await queue.limit("api", at_once=3)
    await queue.put_many(range(10), share="acme", limit="api")
    await queue.put_many(range(10, 20), share="best", limit="api")
    held = await take_all(queue)
    assert len(held) == 3
    assert max(sum(d.item // 10 == share for d in held) for share in (0, 1)) == 2
    shares = await of(queue, None)
    assert (shares.at_once, shares.running) == (2, 3)
    seen = 0
    while held:
        assert len(held) <= 3
        assert max(sum(d.item // 10 == share for d in held) for share in (0, 1)) <= 2
        await held.pop(0).ack()
        seen += 1
        held += await take_all(queue)
    assert seen == 20
    await at_rest(client, name)


async def test_priorities_hold_at_a_gate_and_nobody_starves(session: Session, client: Redis, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=1)
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        await queue.put_many([int(priority)] * 100, limit="api", priority=priority)
    order = []
    for _ in range(146):
        async with await take(queue) as item:
            order.append(item)
    counts = [order.count(int(priority)) for priority in Priority]
    # 64 : 8 : 1, but for the first of LOW, which had the place.
    assert counts[0] == 100
    assert 2 <= counts[2] <= 8
    assert len(await drain(queue)) == 300 - 146
    await at_rest(client, name)


async def test_a_key_and_a_limit_hold_both(session: Session, client: Redis, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=2)
    await queue.put_many(range(12), limit="api", key=lambda item: str(item % 3))
    order: list[int] = []
    held = await take_all(queue)
    while held:
        assert len(held) <= 2
        assert len({d.item % 3 for d in held}) == len(held)
        order.append(held[0].item)
        await held.pop(0).ack()
        held += await take_all(queue)
    assert [[item for item in order if item % 3 == key] for key in range(3)] == [
        list(range(key, 12, 3)) for key in range(3)
    ]
    await at_rest(client, name)


async def test_the_numbers_change_while_it_is_used(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(20), limit="api")
    held = [await take(queue) for _ in range(2)]  # before there are numbers: these do not count
    await queue.limit("api", at_once=5)
    held += await take_all(queue)
    assert len(held) == 7
    await queue.limit("api", at_once=2)
    for delivery in held[2:6]:
        await delivery.ack()
    held = [*held[:2], held[6], *await take_all(queue)]
    assert [delivery.item for delivery in held] == [0, 1, 6, 7]
    await queue.limit("api", at_once=6)
    held += await take_all(queue)
    assert len(held) == 2 + 6
    await queue.limit("api")
    held += await take_all(queue)
    assert len(held) == 20 - 4
    assert not await queue.limits()
    for delivery in held:
        await delivery.ack()


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("change", [{"at_once": 2}, {}, {"rate": Rate(1000)}])
async def test_who_is_idle_gets_what_a_raise_lets_go(
    session: Session, other: Session, client: Redis, name: str, change: dict[str, Any]
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.limit("api", at_once=1)
    await queue.put_many(range(2), limit="api")
    held = await take(queue)
    getting = asyncio.create_task(theirs.get())
    await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 1)
    await queue.limit("api", **change)
    async with asyncio.timeout(30), await getting as item:
        assert item == 1
    await held.ack()


async def test_shutdown_at_once_empties_the_gates(session: Session, client: Redis, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=2)
    await queue.put_many(range(30), limit="api")
    held = await take_all(queue)
    await queue.shutdown(immediate=True)
    assert (await queue.statistics()).dead == 28
    for delivery in held:
        await delivery.ack()
    await at_rest(client, name)
    await queue.reopen()
    assert await queue.replay() == 28
    assert len(await drain(queue)) == 28
    await at_rest(client, name)


async def test_effects_put_into_a_queue_with_a_limit(session: Session, name: str) -> None:
    first, second = Queue(session, "first", int, group=name), Queue(session, "second", int, group=name)
    await second.limit("api", at_once=1)
    await first.put_many(range(4))
    for _ in range(4):
        delivery = await take(first)
        delivery.effects.put(second, delivery.item, limit="api")
        await delivery.ack()
    held = await take_all(second)
    assert [d.item for d in held] == [0]
    assert (await of(second)).waiting == 3
    held[0].effects.put(first, 9, limit="api")
    await held[0].ack()
    assert await drain(second) == [1, 2, 3]
    assert await drain(first) == [9]


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "3", 10_000_001])
async def test_what_is_no_number_at_once_is_refused(session: Session, client: Redis, name: str, bad: object) -> None:
    queue = Queue(session, name, int)
    for call in (queue.limit("api", at_once=bad), queue.limit_shares(at_once=bad)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at_once is a whole number"):
            await call
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize("bad", [5, "5/s", 0.5])
async def test_what_is_no_rate_is_refused(session: Session, client: Redis, name: str, bad: object) -> None:
    queue = Queue(session, name, int)
    for call in (queue.limit("api", rate=bad), queue.limit_shares(rate=bad)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a rate is a Rate"):
            await call
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize("bad", ["", "x" * 1001, 7, None, b"api"])
async def test_what_is_no_name_of_a_limit_is_refused(session: Session, client: Redis, name: str, bad: object) -> None:
    with pytest.raises((ValueError, TypeError), match="the name of a limit is a text"):
        await Queue(session, name, int).limit(bad, at_once=1)  # type: ignore[arg-type]
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize(
    "called", ["a b", "a!", "größe", "\ud800", "a\nb", "~x", 'q"', "x" * 1000, "l", "*"], ids=ascii
)
async def test_a_limit_may_be_called_anything(session: Session, name: str, called: str) -> None:
    queue = Queue(session, name, int)
    await queue.limit(called, at_once=1, rate=Rate(3, per=7.0, burst=2))
    await queue.put_many(range(2), limit=called)
    (held,) = await take_all(queue)
    (limit,) = await queue.limits()
    assert (limit.name, limit.at_once, limit.rate, limit.running) == (called, 1, Rate(3, per=7.0, burst=2), 1)
    await queue.limit(called)
    assert not await queue.limits()
    await held.ack()
    assert len(await drain(queue)) == 1
