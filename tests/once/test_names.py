"""One message of a name waits at most, and what was put last is handled after it was put (rule 29)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import MessageTooLarge, Queue, QueueEmpty, QueueShutDown, Session
from tests.instruments import inside
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, lengths, take

BAD_NAMES: list[tuple[object, type[Exception]]] = [
    ("", ValueError),
    ("x" * 1001, ValueError),
    (7, TypeError),
    (b"n", TypeError),
    (None, TypeError),
]
BAD_TIMES: list[dict[str, Any]] = [
    {"calm": 0},
    {"calm": -1.0},
    {"calm": float("nan")},
    {"calm": True},
    {"calm": "2"},
    {"calm": 8 * 86400.0},
    {"calm": 3.0, "longest": 2.0},
    {"longest": 2.0},
    {"calm": 1.0, "longest": 0},
    {"every": 0},
    {"every": -2.0},
    {"every": float("inf")},
    {"every": 1.0, "replace": True},
    {"every": 1.0, "calm": 1.0},
    {"every": 1.0, "longest": 1.0},
]
NAMES = [
    "n",
    "x" * 1000,
    "two words",
    'a "quote"',
    "back\\slash",
    "\0",
    "\U0001f600",
    "~" + "0" * 24,
    "\ud800",
    "=n",
    "#",
]


@pytest.mark.parametrize("bad, error", BAD_NAMES, ids=repr)
async def test_what_is_no_name_is_refused_before_anything_is_sent(
    session: Session, name: str, client: Redis, bad: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="a name is a text of 1 to 1,000 characters"):
        await Queue(session, name, int).put_unique(1, bad)
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize("asked", BAD_TIMES, ids=repr)
async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    session: Session, name: str, client: Redis, asked: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"calm|longest|every"):
        await Queue(session, name, int).put_unique(1, "n", **asked)
    with pytest.raises(TypeError, match="replace is True or False"):
        await Queue(session, name, int).put_unique(1, "n", replace="yes")  # type: ignore[arg-type]
    assert not [key async for key in client.scan_iter(match=f"*{name}*")]


@pytest.mark.parametrize("text", NAMES, ids=ascii)
async def test_any_text_is_a_name_and_escapes_nothing(session: Session, name: str, text: str) -> None:
    queue = Queue(session, name, int)
    assert await queue.put_unique(1, text)
    assert await queue.put_unique(2, "another")
    assert not await queue.put_unique(3, text, replace=True)
    assert await items(queue) == [3, 2]
    await at_rest(queue)


async def test_while_one_waits_another_adds_nothing_or_replaces_it(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, str), Queue(other, name, str)
    assert await queue.put_unique("first", "kept")
    assert not await theirs.put_unique("second", "kept")
    assert await theirs.put_unique("third", "replaced")
    await queue.put("between")
    assert not await queue.put_unique("fourth", "replaced", replace=True)
    assert not await theirs.put_unique("the fifth, which is longer", "replaced", replace=True)
    seen = await queue.statistics()
    assert (seen.pending, seen.put_total, seen.replaced_total) == (3, 3, 2)
    assert await items(queue) == ["first", "the fifth, which is longer", "between"]
    await at_rest(queue)


async def test_a_full_queue_takes_what_replaces(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    assert await queue.put_unique(1, "n")
    async with asyncio.timeout(5):
        assert not await queue.put_unique(2, "n", replace=True)
        assert not await queue.put_unique(3, "n")
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_a_put_after_it_was_handed_out_is_a_new_message_and_a_retry_keeps_its_item(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_unique(1, "n", replace=True)
    await queue.put_unique(2, "n", replace=True)
    first = await take(queue)
    assert first.item == 2
    assert await queue.put_unique(3, "n", replace=True)
    await first.nack()
    assert not await queue.put_unique(4, "n", replace=True)
    again, second = await take(queue), await take(queue)
    assert [(each.item, each.attempt) for each in (again, second)] == [(2, 2), (4, 1)]
    await again.ack()
    await second.ack()
    await at_rest(queue)


async def test_a_put_that_goes_straight_to_a_getter_leaves_its_name_free(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.qsize()
    getting = asyncio.create_task(theirs.get())
    await until(_idle(other, name), bool)
    assert await queue.put_unique(1, "n")
    async with asyncio.timeout(5):
        delivery = await getting
    assert await queue.put_unique(2, "n")
    assert delivery.item == 1
    await delivery.ack()
    assert await items(queue) == [2]
    await at_rest(queue)


def _idle(session: Session, name: str) -> Callable[[], Any]:
    async def look() -> bool:
        return inside.is_idle(session, name)

    return look


async def test_with_the_name_as_key_one_runs_and_one_waits(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    for number in range(3):
        await queue.put_unique(number, "n", replace=True, key="n")
    running = await take(theirs)
    for number in range(3, 6):
        assert await queue.put_unique(number, "n", replace=True, key="n") is (number == 3)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await running.ack()
    assert running.item == 2
    assert await items(queue) == [5]
    await at_rest(queue)


async def test_puts_that_travel_together_are_met_one_by_one(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_unique(0, "a", key="k")
    added = await asyncio.gather(
        *(queue.put_unique(number, "ab"[number % 2], replace=True, key="k") for number in range(1, 9)),
        queue.put_many(range(20, 23), key="k"),
    )
    assert added[:-1] == [True, *[False] * 7]
    assert await items(queue) == [8, 7, 20, 21, 22]
    await at_rest(queue)


async def test_what_replaces_keeps_the_key_of_the_first(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_unique(1, "n", key="a")
    await queue.put_unique(2, "n", replace=True, key="b")
    await queue.put(3, key="a")
    first = await take(queue)
    assert (first.item, first.key) == (2, "a")
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await first.ack()
    assert await items(queue) == [3]
    await at_rest(queue)


async def test_recovered_from_a_dead_session_it_keeps_its_item(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put_unique(1, "n")
    await queue.put_unique(2, "n", replace=True)
    held = await take(theirs)
    assert await queue.put_unique(3, "n")
    await inside.crash(client, session, name, other)
    assert (held.item, await items(queue)) == (2, [2, 3])
    await at_rest(queue)


async def test_shut_down_at_once_it_is_a_dead_letter_with_the_newest_item_and_replayed_without_its_name(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, str)
    await queue.put_unique("old", "n")
    await queue.put_unique("new", "n", replace=True)
    await queue.put_unique("calm", "c", calm=60.0)
    await queue.shutdown(immediate=True)
    with pytest.raises(QueueShutDown):
        await queue.put_unique("refused", "n", replace=True)
    assert (await lengths(queue)).get("once") is None
    await queue.reopen()
    assert await queue.put_unique("next", "n")
    assert await queue.replay() == 2
    assert not await queue.put_unique("newest", "n", replace=True)
    assert sorted(await items(queue)) == ["calm", "new", "newest"]
    await at_rest(queue)


async def test_a_dead_letter_is_replayed_as_it_was_handed_out(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put_unique(1, "n")
    await queue.put_unique(2, "n", replace=True)
    await (await take(queue)).nack()
    assert await queue.replay() == 1
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_an_item_that_is_too_large_replaces_nothing(session: Session, name: str) -> None:
    queue = Queue(session, name, str, max_message_bytes=100)
    await queue.put_unique("small", "n")
    with pytest.raises(MessageTooLarge):
        await queue.put_unique("x" * 200, "n", replace=True)
    assert await items(queue) == ["small"]
    await at_rest(queue)


async def test_what_is_large_now_and_was_small_when_it_was_put_comes_a_reply_at_a_time(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, str, max_message_bytes=1 << 20)
    for replace in (False, True):
        for number in range(12):
            await queue.put_unique(str(number).zfill(900_000 if replace else 2), f"n{number}", replace=replace)
    assert [int(item[-2:]) for item in await items(queue)] == list(range(12))
    await at_rest(queue)


async def test_what_waits_under_a_name_beside_it_is_not_touched(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(0, id="n")
    assert await queue.put_unique(1, "n")
    assert not await queue.put(0, id="n")
    assert await items(queue) == [0, 1]
    await at_rest(queue)
