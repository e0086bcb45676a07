"""Puts of a name that travel with an acknowledgement: met in its step, and one at most waits without an owner."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    Delivery,
    EffectRefused,
    MessageTooLarge,
    Priority,
    Queue,
    QueueShutDown,
    Session,
    StaleDelivery,
)
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, lengths, take

pytestmark = pytest.mark.usefixtures("one_slot")


def stages(session: Session, name: str, maxsize: int = 0) -> tuple[Queue[Any], Queue[Any]]:
    return Queue(session, name, object), Queue(session, f"{name}-2", object, maxsize=maxsize)


async def begun(first: Queue[Any]) -> Delivery[Any]:
    """A delivery of the first queue, with effects to collect."""
    await first.put(0)
    return await take(first)


async def passed_on(first: Queue[Any], second: Queue[Any], *numbers: object, **asked: Any) -> None:
    """Put each into the second queue under the name n, with an acknowledgement of its own; the last replaces."""
    for number in numbers:
        delivery = await begun(first)
        delivery.effects.put_unique(second, number, "n", **({"replace": True} | asked))
        await delivery.ack()


async def waiting(queue: Queue[Any], count: int) -> None:
    await until(queue.statistics, lambda seen: seen.puts_waiting == count)


async def idle(session: Session, name: str) -> bool:
    return inside.is_idle(session, name)


async def counts(queue: Queue[Any]) -> tuple[int, int, int, int]:
    seen = await queue.statistics()
    return seen.pending, seen.puts_waiting, seen.put_total, seen.replaced_total


async def test_one_that_waits_is_left_or_replaced_in_the_step(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name, 1)
    await passed_on(first, second, 1, replace=False)
    delivery = await begun(first)
    delivery.effects.put_unique(second, 2, "n")
    delivery.effects.put_unique(second, 3, "n", replace=True)
    delivery.effects.put_unique(second, 4, "n")
    assert await counts(second) == (1, 0, 1, 0)
    await delivery.ack()
    assert await counts(second) == (1, 0, 1, 1)  # which was full
    assert await second.put_unique(5, "n", replace=True) is False
    assert await items(second) == [5]
    await second.join()
    await passed_on(first, second, 6)
    assert await items(second) == [6]
    await at_rest(second)
    for queue in (first, second):
        (await take_census(client, queue.name)).check()


async def test_several_in_line_are_one_and_the_newest_is_handled(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name, 1)
    theirs = stages(other, name, 1)
    await second.put(0)
    await passed_on(first, second, 1, 2)
    await passed_on(*theirs, 3)
    await passed_on(first, second, 4, replace=False)
    await passed_on(*theirs, 5)
    assert await counts(second) == (1, 1, 1, 3)
    assert await items(second) == [0, 5]
    assert await counts(second) == (0, 0, 2, 3)
    async with asyncio.timeout(5):
        await second.join()
    await at_rest(second)


async def test_those_of_one_acknowledgement_are_one_in_line(session: Session, name: str) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    delivery = await begun(first)
    for number in range(1, 6):
        delivery.effects.put(second, number * 10)
        delivery.effects.put_unique(second, number, "n", replace=number < 5)
    await delivery.ack()
    assert await counts(second) == (1, 6, 6, 3)
    assert await items(second) == [0, 10, 4, 20, 30, 40, 50]
    assert (await counts(second))[1:] == (0, 7, 3)
    await at_rest(second)


async def test_a_put_that_waits_counts_as_later_than_one_without_an_owner(
    session: Session, other: Session, name: str
) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    before = asyncio.create_task(second.put_unique(1, "n", replace=True))
    await waiting(second, 1)
    await passed_on(first, second, 2)
    await waiting(second, 2)
    theirs = stages(other, name, 1)
    after = asyncio.create_task(theirs[1].put_unique(3, "n", replace=True))
    await waiting(second, 3)
    await passed_on(*theirs, 4)  # instead of the 2, which is before all that has an owner
    await waiting(second, 3)
    assert await items(second) == [0, 3]
    assert sorted(await asyncio.gather(before, after)) == [False, True]
    assert (await counts(second))[1:] == (0, 2, 3)
    await at_rest(second)


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_put_that_goes_in_first_is_later_than_one_in_line_without_an_owner(
    session: Session, other: Session, name: str, *, replaces: bool
) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    await passed_on(first, second, 1)
    put = Queue(other, second.name, object).put_unique(2, "n", replace=replaces, priority=Priority.HIGH)
    after = asyncio.create_task(put)
    await waiting(second, 2)
    assert await items(second) == [0, 2 if replaces else 1]
    await after
    assert (await counts(second))[1:] == (0, 2, replaces)
    await at_rest(second)


async def test_it_does_not_go_with_a_put_that_is_withdrawn(session: Session, name: str) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    put = asyncio.create_task(second.put_unique(1, "n", replace=True))
    await waiting(second, 1)
    await passed_on(first, second, 2, 3)
    await waiting(second, 2)
    put.cancel()
    await waiting(second, 1)
    assert await items(second) == [0, 3]
    await at_rest(second)


async def test_join_waits_for_one_in_line_and_cancel_finds_it(session: Session, name: str) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    await passed_on(first, second, 1, 2)
    assert await second.cancel_unique("n") is Cancellation.REMOVED
    assert (await counts(second))[1:] == (0, 2, 1)
    assert await items(second) == [0]
    async with asyncio.timeout(5):
        await second.join()
    assert (await second.statistics()).cancelled_total == 1
    await at_rest(second)


async def test_a_shutdown_lets_it_in_and_one_at_once_makes_a_dead_letter(
    session: Session, client: Redis, name: str
) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    await passed_on(first, second, 1)
    await second.shutdown()
    delivery = await begun(first)
    delivery.effects.put_unique(second, 2, "n", replace=True)
    with pytest.raises(EffectRefused, match="shut down"):
        await delivery.ack()
    await delivery.dead_letter("refused")
    assert (await counts(second))[1:] == (1, 1, 0)
    assert await items(second) == [0, 1]
    assert (await counts(second))[1:] == (0, 2, 0)
    await second.reopen()
    await second.put(7)
    await passed_on(first, second, 8)
    await second.shutdown(immediate=True)
    assert len(await second.dead_letters()) == 2
    (await take_census(client, second.name)).check()


async def test_after_a_shutdown_that_was_called_off_it_is_still_one(session: Session, name: str) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    refused = asyncio.create_task(second.put_unique(9, "n", replace=True))
    await waiting(second, 1)
    await passed_on(first, second, 1)
    await second.shutdown()
    with pytest.raises(QueueShutDown):
        await refused
    await second.reopen()
    await passed_on(first, second, 2)
    assert (await counts(second))[1:] == (1, 1, 1)
    assert await items(second) == [0, 2]
    await at_rest(second)


@pytest.mark.parametrize("calm", [(None, 0.2, 1000.0), (1000.0, None, 0.2), (1000.0, 0.2, None)])
async def test_calm_of_those_in_line_is_that_of_the_last_that_asks(
    session: Session, name: str, calm: tuple[float | None, ...]
) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    for number, each in enumerate(calm, 1):
        await passed_on(first, second, number, calm=each)
    await (await take(second)).ack()
    await until(second.statistics, lambda seen: seen.puts_waiting == 0)
    assert (await second.statistics()).delayed == (calm[0] is not None)
    assert await items(second) == [3]
    await at_rest(second)


async def test_it_wakes_who_waits_and_is_handed_over(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    async with asyncio.timeout(20):
        for calm in (None, 0.05):
            got = asyncio.create_task(Queue(other, second.name, object).get())
            await until(lambda: idle(other, second.name), bool)
            await passed_on(first, second, calm, calm=calm)
            async with await got as item:
                assert item == calm
    await at_rest(second)


async def test_every_adds_nothing_for_so_long(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, 1, 2, replace=False, every=1000.0)
    assert await items(second) == [1]
    await passed_on(first, second, 3, replace=False, every=1000.0)
    assert await items(second) == []
    await at_rest(second)


async def test_what_it_asks_of_its_way_holds(session: Session, name: str) -> None:
    first, second = stages(session, name)
    await second.limit("slow", at_once=1)
    asked = {"key": "k", "share": "s", "priority": Priority.HIGH, "limit": "slow"}
    await passed_on(first, second, 1, 2, **asked)
    delivery = await take(second)
    assert (delivery.item, delivery.key, delivery.share, delivery.priority) == (2, "k", "s", Priority.HIGH)
    await passed_on(first, second, 3, 4, **asked)  # one runs, one waits behind it
    assert (await second.statistics()).behind_keys == 1
    await delivery.ack()
    assert await items(second) == [4]
    await second.limit("slow")
    await until(lambda: lengths(second), lambda found: set(found) <= {"flow"})


async def test_one_that_waits_for_its_own_key_is_one(session: Session, name: str) -> None:
    first, second = stages(session, name, 8)
    await second.put("held", key="k")
    held = await take(second)
    await second.put("behind", key="k")
    await passed_on(first, second, 1, 2, 3, key="k")
    assert (await counts(second))[:2] == (1, 1)
    await second.put("another", key="l")
    await held.ack()
    assert await items(second) == ["behind", "another", 3]
    await at_rest(second)


async def test_beside_more_puts_than_a_thousand(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name)
    await passed_on(first, second, "old")
    delivery = await begun(first)
    for number in range(1500):
        delivery.effects.put(second, number)
    for number in range(400):
        delivery.effects.put_unique(second, f"m{number}", f"m{number // 2}", replace=True)
    delivery.effects.put_unique(second, "new", "n", replace=True)
    await delivery.ack()
    await waiting(second, 0)
    assert (await counts(second)) == (1701, 0, 1701, 201)
    found = await items(second)
    assert found[0] == "new"
    assert sorted(item for item in found if isinstance(item, str)) == sorted(
        ["new", *(f"m{n}" for n in range(1, 400, 2))]
    )
    assert [item for item in found if isinstance(item, int)] == list(range(1500))
    (await take_census(client, second.name)).check()
    await at_rest(second)


async def test_a_delivery_that_is_refused_writes_nothing(session: Session, client: Redis, name: str) -> None:
    first, second = stages(session, name, 1)
    await second.put(0)
    await passed_on(first, second, 1)
    delivery = await begun(first)
    delivery.effects.put_unique(second, 2, "n", replace=True)
    await client.set(f"{{{name}}}:text", "no number")
    delivery.effects.incrby(f"{{{name}}}:text")
    with pytest.raises(EffectRefused):
        await delivery.ack()
    await delivery.nack()
    again = await take(first)
    again.effects.put_unique(second, 3, "n", replace=True)
    await inside.end_session(client, session, first.name)
    with pytest.raises(StaleDelivery):
        await again.ack()
    assert await items(second) == [0, 1]
    await at_rest(second)


@pytest.mark.parametrize(
    "named, asked",
    [
        ("", {}),
        ("x" * 1001, {}),
        ("n", {"calm": 0.0}),
        ("n", {"calm": 3.0, "longest": 2.0}),
        ("n", {"longest": 2.0}),
        ("n", {"every": 1.0, "replace": True}),
        ("n", {"every": 1.0, "calm": 1.0}),
        ("n", {"key": ""}),
        ("n", {"share": "x" * 1001}),
        ("n", {"limit": ""}),
        ("n", {"priority": 3}),
    ],
)
async def test_what_is_out_of_range_is_refused(session: Session, name: str, named: str, asked: dict[str, Any]) -> None:
    first, second = stages(session, name)
    delivery = await begun(first)
    with pytest.raises(ValueError, match=r"name|calm|every|key|share|limit|priority"):
        delivery.effects.put_unique(second, 1, named, **asked)
    assert len(delivery.effects) == 0
    await delivery.ack()


@pytest.mark.parametrize("named, asked", [(7, {}), (None, {}), ("n", {"replace": "yes"}), ("n", {"key": 7})])
async def test_what_has_another_type_is_refused(session: Session, name: str, named: Any, asked: dict[str, Any]) -> None:
    first, second = stages(session, name)
    delivery = await begun(first)
    with pytest.raises(TypeError):
        delivery.effects.put_unique(second, 1, named, **asked)
    with pytest.raises(TypeError, match=r"put_unique\(\) takes a queue here"):
        delivery.effects.put_unique("mail", 1, "n")
    with pytest.raises(MessageTooLarge):
        delivery.effects.put_unique(second, "x" * 300_000, "n")
    assert len(delivery.effects) == 0
    await delivery.ack()


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("is_forwarded", [False, True])
async def test_where_there_is_room_an_idle_consumer_gets_it_though_one_of_the_name_waits_for_its_key(
    session: Session, other: Session, name: str, *, is_forwarded: bool
) -> None:
    first, second = stages(session, name, 8)
    await second.put_many(["k1", "k2"], key="K")
    held = await second.get()
    behind = asyncio.create_task(second.put_unique("behind", "n", key="K", replace=True))
    await waiting(second, 1)
    # The only place behind a key at this bound is taken, so it waits for that.
    theirs = Queue(other, second.name, object)
    getting = asyncio.create_task(theirs.get())
    await until(lambda: idle(other, second.name), bool)
    if is_forwarded:
        delivery = await begun(first)
        delivery.effects.put_unique(second, "new", "n", replace=True)
        delivery.effects.put(second, "plain")
        await delivery.ack()
    else:
        assert await second.put_unique("new", "n", replace=True) is True
    async with asyncio.timeout(20):
        found = await getting
    # What came with an acknowledgement is older than a put that has not returned.
    assert found.item == ("behind" if is_forwarded else "new")
    assert await behind is False
    await found.ack()
    await held.ack()
    assert await items(second) == (["k2", "plain"] if is_forwarded else ["k2"])
    await at_rest(second)


async def test_five_hundred_of_one_delivery_at_most(session: Session, name: str) -> None:
    first, second = stages(session, name)
    delivery = await begun(first)
    for number in range(500):
        delivery.effects.put_unique(second, number, f"n{number}")
    with pytest.raises(ValueError, match="500 of `put_unique`"):
        delivery.effects.put_unique(second, 500, "n")
    await delivery.ack()
    assert await second.qsize() == 500


async def test_those_of_several_deliveries_hold_the_server_up_no_longer(
    through_proxy: Session, proxy: Proxy, name: str
) -> None:
    first, second = stages(through_proxy, name)
    await first.put_many(range(4))
    deliveries = [await first.get() for _ in range(4)]
    for delivery in deliveries:
        for number in range(300):
            delivery.effects.put_unique(second, number, f"n{delivery.item} {number}")
    await asyncio.gather(*(delivery.ack() for delivery in deliveries))
    assert await second.qsize() == 1200
    assert proxy.count("settle_with_effects") >= 4
