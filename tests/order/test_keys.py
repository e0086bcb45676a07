"""Messages of one key are handled one at a time, in order, while others go on (rules 18 to 20)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueFull, Session
from shared.concurrency.queues.encoding.flow import stored_name
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, take

BAD: list[tuple[object, type[Exception]]] = [
    ("", ValueError),
    ("x" * 1001, ValueError),
    (7, TypeError),
    (b"k", TypeError),
    (True, TypeError),
]
GOOD = [
    "k",
    "x" * 1000,
    "two words",
    'a "quote"',
    "back\\slash",
    "\0",
    "\U0001f600",
    "~" + "0" * 24,
    "\ud800",
    "a!",
    " ",
]


@pytest.mark.parametrize("key, error", BAD, ids=repr)
async def test_what_is_no_key_is_refused_before_anything_is_sent(
    session: Session, name: str, client: Redis, key: Any, error: type[Exception]
) -> None:
    queue = Queue(session, name, int)
    calls: list[Callable[[], Any]] = [
        lambda: queue.put(1, key=key),
        lambda: queue.put(1, key=key, id="an-id"),
        lambda: queue.put_nowait(1, key=key),
        lambda: queue.submit(1, key=key),
        lambda: queue.put_many([1], key=lambda _: key),
        *([] if callable(key) else [lambda: queue.put_many([1], key=key)]),
    ]
    for call in calls:
        with pytest.raises(error, match="a key is a text of 1 to 1,000 characters"):
            await call()
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize("key", GOOD, ids=ascii)
async def test_any_text_is_a_key_and_escapes_nothing(session: Session, name: str, key: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many([1, 2], key=key)
    await queue.put(3, key="another")
    first, third = await take(queue), await take(queue)
    assert (first.item, first.key, third.item) == (1, stored_name(key), 3)
    await first.ack()
    await third.ack()
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_one_of_a_key_is_handed_out_and_in_order(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put_many(range(6), key=lambda item: "even" if item % 2 == 0 else "odd")
    assert (await queue.statistics()).behind_keys == 4
    assert await queue.qsize() == 6
    for expected in (0, 2, 4):
        even, odd = await take(theirs), await take(queue)
        assert (even.item, odd.item) == (expected, expected + 1)
        await even.nack()
        even = await take(queue)
        assert (even.item, even.attempt) == (expected, 2)
        await even.ack()
        await odd.ack()
    await at_rest(queue)


async def test_of_what_is_let_go_and_what_is_pending_the_older_comes_first(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many([1, 2], key="k")
    await queue.put(3)
    await (await take(queue)).ack()  # which lets 2 go
    await queue.put(4)
    assert await items(queue) == [2, 3, 4]
    await at_rest(queue)


async def test_who_waits_is_woken_by_the_end_of_the_one_before(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put_many([1, 2], key="k")
    first = await take(queue)
    getting = asyncio.create_task(theirs.get())
    await until(queue.statistics, lambda seen: seen.behind_keys == 1)
    await first.ack()
    async with asyncio.timeout(5):
        second = await getting
    assert second.item == 2
    await second.ack()
    await at_rest(queue)


async def test_a_failure_holds_its_key_and_hold_key_false_lets_the_others_pass(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many([1, 2, 3], key="k")
    await (await take(queue)).nack()
    again = await take(queue)
    assert (again.item, again.failures) == (1, 1)
    await again.nack(hold_key=False)
    assert (await queue.statistics()).delayed == 1
    seen: list[tuple[int, int]] = []
    for hold_key in (False, True, True, True):
        delivery = await take(queue)
        seen.append((delivery.item, delivery.failures))
        if hold_key:
            await delivery.ack()
        else:
            await delivery.nack(hold_key=False, delay=0.05)
    assert seen == [(2, 0), (3, 0), (1, 2), (2, 1)]
    await at_rest(queue)


async def test_alone_in_its_key_one_that_lets_others_pass_comes_again(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, key="k")
    await (await take(queue)).nack(hold_key=False)
    again = await take(queue)
    assert (again.item, again.failures) == (1, 1)
    await again.ack()
    await queue.put(2)
    await (await take(queue)).nack(hold_key=False)
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_a_dead_letter_lets_the_next_go_and_comes_back_behind_all(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put_many([1, 2, 3], key="k")
    await (await take(queue)).dead_letter("no")
    await (await take(queue)).nack()
    assert await queue.replay() == 2
    assert await items(queue) == [3, 1, 2]
    await at_rest(queue)


async def test_a_put_of_one_alone_is_handed_over_only_where_nobody_of_its_key_is_in_hands(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put(1, key="k")
    first = await take(queue)
    getting = asyncio.create_task(theirs.get())
    await until(queue.statistics, lambda seen: seen.leased == 1)
    await queue.put(2, key="k")
    await queue.put(3, key="other")
    async with asyncio.timeout(5):
        third = await getting
    assert third.item == 3
    await third.ack()
    await first.ack()
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_a_key_of_put_wins_over_nothing_and_ids_are_known_as_ever(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    assert await queue.put(1, id="a", key="k")
    assert not await queue.put(1, id="a", key="k")
    assert await queue.put(2, id="b", key="k")
    assert await items(queue) == [1, 2]
    future = await queue.submit(3, id="c", key="k")
    last = await queue.submit(4, key="k")
    for expected in (3, 4):
        delivery = await take(queue)
        assert delivery.key == "k"
        await delivery.ack(expected * 2)
    async with asyncio.timeout(5):
        assert (await future, await last) == (6, 8)
    await at_rest(queue)


async def test_puts_with_ids_that_travel_together_keep_the_order_of_their_key(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.qsize()
    await asyncio.gather(*(queue.put(item, id=f"id-{item}", key="k") for item in range(20)))
    assert (await queue.statistics()).behind_keys == 19
    assert await items(queue) == list(range(20))
    await at_rest(queue)


async def test_a_cancelled_submission_lets_the_next_of_its_key_go(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    future = await queue.submit(1, key="k")
    await queue.put(2, key="k")
    future.cancel()
    async with asyncio.timeout(5):
        delivery = await queue.get()
        while delivery.item == 1:  # it was taken before the mark had come
            await delivery.ack()
            delivery = await queue.get()
    assert delivery.item == 2
    await delivery.ack()
    await at_rest(queue)


async def test_shut_down_at_once_what_stands_behind_is_a_dead_letter_and_the_order_goes_on(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(300), key="k")
    await queue.put_many(range(300, 310), key="j")
    held = await take(queue)
    await queue.shutdown(immediate=True)
    seen = await queue.statistics()
    assert (seen.dead, seen.pending, seen.delayed, seen.behind_keys) == (309, 0, 0, 0)
    await queue.reopen()
    await queue.put(1000, key="k")
    assert (await queue.statistics()).behind_keys == 1
    await held.ack()
    assert await items(queue) == [1000]
    await at_rest(queue)


async def test_put_nowait_behind_a_full_key_is_refused(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_nowait(1, key="k")
    await queue.put_nowait(2, key="k")
    with pytest.raises(QueueFull):
        await queue.put_nowait(3, key="k")
    assert await queue.put_nowait(4, key="j")
    assert await items(queue) == [1, 2, 4]
    await at_rest(queue)
