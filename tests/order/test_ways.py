"""The order of a key holds on every way of a message: stages, replay, crashes, handlers, the class's declaration."""

import asyncio

import pytest
from redis.asyncio import Redis

from consumer.outcomes import Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.testing import delivery_of
from shared.concurrency import Delivery, Queue, Session
from shared.message import Message
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.waiting import until
from tests.instruments.workers import working
from tests.order.watching import at_rest, items, take


class Ordered(Message, key="customer"):
    """An order of somebody."""

    customer: str
    number: int = 0


class OrderedBelow(Ordered):
    """As that."""


class OrderedByFunction(Message, key=lambda message: f"c-{message.customer}" if message.customer else None):
    """Without a key where there is no customer."""

    customer: int


async def test_a_class_declares_its_key_and_put_may_give_another(session: Session, name: str) -> None:
    queue = Queue(session, name, Message)
    await queue.put(Ordered(customer="a b", number=1))
    await queue.put(OrderedBelow(customer="k", number=2))
    await queue.put(OrderedByFunction(customer=7))
    await queue.put(OrderedByFunction(customer=0))
    await queue.put(Ordered(customer="k", number=3), key="else")
    keys = []
    for _ in range(5):
        delivery = await take(queue)
        keys.append(delivery.key)
        await delivery.ack()
    assert keys == [delivery_of(Ordered(customer="a b")).key, "k", "c-7", None, "else"]
    assert str(keys[0]).startswith("~")
    await at_rest(queue)


async def test_a_field_that_holds_no_text_is_refused_before_anything_is_sent(
    session: Session, client: Redis, name: str
) -> None:
    class OrderedByNumber(Message, key="number"):
        number: int

    queue = Queue(session, name, Message)
    for item in (OrderedByNumber(number=7), Ordered(customer="")):
        with pytest.raises((TypeError, ValueError), match="a key is a text of 1 to 1,000 characters"):
            await queue.put(item)
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]
    del Message._classes["OrderedByNumber"]


def test_a_key_that_is_no_field_is_refused_at_import() -> None:
    with pytest.raises(TypeError, match=r"OrderedByNothing: key= is the name of a field.*the fields are customer"):

        class OrderedByNothing(Message, key="custmer"):
            customer: str

    assert "OrderedByNothing" not in Message.registered()


def test_a_handler_tried_alone_sees_the_key() -> None:
    assert delivery_of(Ordered(customer="k")).key == "k"


async def test_stage_to_stage_order_holds_though_the_next_queue_is_full(session: Session, name: str) -> None:
    first, second = Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=8)
    await first.put_many(range(40), key=lambda item: f"k{item % 4}")
    await second.qsize()

    async def pass_on(delivery: Delivery[int]) -> None:
        delivery.effects.put(second, delivery.item, key=delivery.key)

    seen: list[int] = []
    async with working(first, pass_on, concurrency=8):
        while len(seen) < 40:
            async with await take(second) as item:
                seen.append(item)
            statistics = await second.statistics()
            assert statistics.pending <= 8
    for rest in range(4):
        assert [item for item in seen if item % 4 == rest] == list(range(rest, 40, 4))
    for queue in (first, second):
        await at_rest(queue)


@pytest.mark.slow
@pytest.mark.parametrize("maxsize", [0, 8])
async def test_many_forwarded_with_one_acknowledgement_keep_their_order(
    session: Session, client: Redis, name: str, maxsize: int
) -> None:
    """So many that they are staged in folds."""
    first, second = Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=maxsize)
    await first.put(1)
    async with await take(first):
        pass
    await first.put(2)
    delivery = await take(first)
    for item in range(1200):
        delivery.effects.put(second, item, key="k" if item % 2 else None)
    await delivery.ack()
    (await take_census(client, second.name)).check()
    seen = await items(second)
    assert len(seen) == 1200
    assert [item for item in seen if item % 2] == list(range(1, 1200, 2))
    await until(lambda: take_census(client, second.name), lambda census: census.bodies == 0)
    (await take_census(client, second.name)).check()
    await at_rest(second)


async def test_a_message_that_puts_the_next_of_its_own_key_is_followed_by_it(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(0, key="k")
    for expected in range(5):
        delivery = await take(queue)
        assert delivery.item == expected
        if expected < 4:
            delivery.effects.put(queue, expected + 1, key="k")
        await delivery.ack()
    await at_rest(queue)


async def test_a_crash_keeps_the_place_and_the_last_one_lets_the_next_go(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int, max_crashes=2), Queue(other, name, int)
    await queue.put_many([1, 2], key="k")
    for crashes in (1, 2):
        delivery = await take(theirs)
        assert (delivery.item, (await queue.statistics()).behind_keys) == (1, 1)
        await inside.crash(client, session, name, other)
        assert (await queue.statistics()).dead == crashes - 1
    assert await items(queue) == [2]
    assert await queue.replay() == 1
    assert await items(queue) == [1]
    await at_rest(queue)


async def test_a_stale_acknowledgement_lets_nobody_go(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put_many([1, 2], key="k")
    stale = await take(theirs)
    await inside.crash(client, session, name, other)
    again = await take(queue)
    with pytest.raises(Exception, match="lost with its session"):
        await stale.ack()
    assert ((await queue.statistics()).behind_keys, again.item) == (1, 1)
    await again.ack()
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_a_closed_session_gives_back_in_order(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(6), key=lambda item: f"k{item % 2}")
    async with Session.open(url) as far:
        held = [await take(Queue(far, name, int)) for _ in range(2)]
        assert [delivery.item for delivery in held] == [0, 1]
    seen = await items(queue)
    assert [item for item in seen if item % 2] == [1, 3, 5]
    assert sorted(seen) == list(range(6))
    await at_rest(queue)


async def test_a_retry_that_does_not_hold_its_key_lets_the_others_pass(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    seen: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        seen.append(delivery.item)
        if delivery.item == 0 and delivery.failures == 0:
            raise Retry(after=0, reason="later", hold_key=False)

    await queue.put_many(range(4), key="k")
    async with working(queue, handle, rules={int: Rules(backoff=Backoff(first=0))}), asyncio.timeout(40):
        await queue.join()
    assert seen == [0, 1, 2, 3, 0]
    await at_rest(queue)


def test_a_retry_that_does_not_count_keeps_its_key() -> None:
    with pytest.raises(ValueError, match="hold_key=False goes with a failure"):
        Retry(after=1, counts=False, hold_key=False)
