"""What a message asks of its way: how it is given, what is refused, and what travels (rule 16)."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared import Priority
from shared.concurrency import Queue, Session
from shared.concurrency.queues.encoding.flow import Way, pack_flow, stored_name, way_in
from shared.message import Message
from tests.order.watching import at_rest, take

NAMES: list[tuple[object, type[Exception]]] = [
    ("", ValueError),
    ("x" * 1001, ValueError),
    (7, TypeError),
    (b"k", TypeError),
    (True, TypeError),
]
PRIORITIES: list[tuple[object, type[Exception]]] = [
    (3, ValueError),
    (-1, ValueError),
    (10**30, ValueError),
    ("high", TypeError),
    (True, TypeError),
    (1.0, TypeError),
]
SAID = {
    "share": "a share is a text of 1 to 1,000 characters",
    "limit": "the name of a limit is a text of 1 to 1,000 characters",
    "priority": r"a priority is Priority\.HIGH, NORMAL or LOW",
}
BAD = [
    *[(about, *case) for about in ("share", "limit") for case in NAMES],
    *[("priority", *case) for case in PRIORITIES],
]


@pytest.mark.parametrize("case", BAD, ids=repr)
async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    session: Session, name: str, client: Redis, case: tuple[str, Any, type[Exception]]
) -> None:
    about, asked, error = case
    queue: Any = Queue(session, name, int)
    calls: list[Callable[[], Any]] = [
        lambda: queue.put(1, **{about: asked}),
        lambda: queue.put(1, id="an-id", **{about: asked}),
        lambda: queue.put_nowait(1, **{about: asked}),
        lambda: queue.submit(1, **{about: asked}),
        lambda: queue.put_many([1], **{about: asked}),
        lambda: queue.put_many([1], **{about: lambda _: asked}),
    ]
    for call in calls:
        with pytest.raises(error, match=SAID[about]):
            await call()
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


async def test_a_message_says_all_it_asks(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, key="k", share="a share", priority=Priority.LOW, limit="bank", id="one")
    delivery = await take(queue)
    assert (delivery.item, delivery.id, delivery.key, delivery.share) == (1, "one", "k", stored_name("a share"))
    assert delivery.priority is Priority.LOW
    await delivery.ack()
    await at_rest(queue)


async def test_each_of_put_many_may_ask_something_else(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    priorities = [Priority.HIGH, None, Priority.NORMAL]
    await queue.put_many(range(3), priority=lambda item: priorities[item], share=str, key="k")
    seen = []
    for _ in priorities:
        delivery = await take(queue)
        seen.append((delivery.item, delivery.priority, delivery.share))
        await delivery.ack()
    assert seen == [(0, Priority.HIGH, "0"), (1, Priority.NORMAL, "1"), (2, Priority.NORMAL, "2")]
    await at_rest(queue)


def test_who_asks_for_what_all_have_asks_for_nothing() -> None:
    assert pack_flow(Way()) == pack_flow(Way(priority=Priority.NORMAL)) == ""
    assert pack_flow(Way(Priority.HIGH, "s", "k", "l", "o")) == "0 s k l o"
    assert way_in("0 s k l o") == (0, "s", "k", "l", "o")
    assert way_in("1  k  ") == (1, None, "k", None, None)
    for strange in ("", "9 s k l o", "1 a b", None, 7, ["1"]):
        assert way_in(strange) == Way()


class Fare(Message, key="customer", share="tenant", priority=Priority.LOW, limit="bank"):
    """One that asks for all."""

    customer: str
    tenant: str


class Season(Fare, priority=Priority.HIGH, limit=lambda season: f"bank-{season.customer}"):
    """One that asks for some of it in its own way."""


def asked(message: Fare, given: Way | None = None) -> Way:
    declared = type(message).declared_way()
    assert declared is not None
    return declared.of(message, given)


def test_a_class_declares_what_its_messages_ask_and_what_is_given_wins() -> None:
    fare, season = Fare(customer="c", tenant="t"), Season(customer="c", tenant="t")
    assert asked(fare) == Way(Priority.LOW, "t", "c", "bank")
    assert asked(season) == Way(Priority.HIGH, "t", "c", "bank-c")
    assert asked(fare, Way(Priority.NORMAL, limit="other")) == Way(Priority.NORMAL, "t", "c", "other")
    assert Message.declared_way() is None


@pytest.mark.parametrize(
    "declared, error, said",
    [
        ({"share": "no_field"}, TypeError, "share= is the name of a field"),
        ({"share": 7}, TypeError, "share= is the name of a field"),
        ({"priority": 3}, ValueError, "Bad: priority= a priority is"),
        ({"priority": "high"}, TypeError, "Bad: priority= a priority is"),
        ({"limit": ""}, ValueError, "Bad: limit= the name of a limit is"),
        ({"limit": 7}, TypeError, "Bad: limit= the name of a limit is"),
    ],
    ids=repr,
)
def test_a_class_that_declares_what_is_none_is_refused(
    declared: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        type("Bad", (Message,), {"__annotations__": {"customer": str}, "__module__": __name__}, **declared)
    assert "Bad" not in Message.registered()
