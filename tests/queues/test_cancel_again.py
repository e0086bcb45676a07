"""A message is cancelled that has ended, more than once, and with a shutdown."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    Queue,
    Session,
)
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.emptying import drain, take
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import resolved

pytestmark = pytest.mark.timeout(180)


# --- what has ended, and what never was ------------------------------------------------------------------------------


async def test_what_has_ended_or_never_was(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1, id="done")
    await queue.put(2, id="dead")
    await (await there.get()).ack()
    await (await there.get()).dead_letter("a test")
    assert await queue.cancel("done") is Cancellation.FINISHED
    assert await queue.cancel("dead") is Cancellation.UNKNOWN
    assert await queue.cancel("never") is Cancellation.UNKNOWN
    (letter,) = await queue.dead_letters()
    assert await queue.cancel(letter.key) is Cancellation.UNKNOWN
    assert await queue.replay() == 1
    assert await take(there, 1) == [2], "a dead letter was not cancelled: it is replayed as ever"
    await at_rest(client, queue.name)


async def test_a_mark_that_meets_nobody_goes_when_the_queue_is_empty(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="done")
    await take(there, 1)
    await queue.put(2)
    assert await queue.cancel("done", timeout=0) is Cancellation.ASKED, "nobody can tell while others are there"
    assert await take(there, 1) == [2]
    await at_rest(client, queue.name)


async def test_bad_input_is_refused_before_anything_is_sent(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url) as far:
        queue = Queue(far, name, int)
        await queue.statistics()
        proxy.commands.clear()
        for id_ in ("", "two words", "x" * 129, "é", 7, None):
            with pytest.raises(ValueError, match="an id is"):
                await queue.cancel(id_)  # type: ignore[arg-type]
        for timeout in (-1, float("nan"), float("inf"), "1", None, True):
            with pytest.raises(ValueError, match="timeout"):
                await queue.cancel("one", timeout=timeout)  # type: ignore[arg-type]
        assert not proxy.count("cancel")


# --- more than once --------------------------------------------------------------------------------------------------


async def test_many_who_cancel_at_once_all_get_the_outcome(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1, id="one")
    delivery = await there.get()
    outcomes = await asyncio.gather(*(each.cancel("one") for each in [queue, there] * 5))
    assert set(outcomes) <= {Cancellation.STOPPED, Cancellation.FINISHED}
    assert Cancellation.STOPPED in outcomes
    assert delivery.cancelled
    assert (await queue.statistics()).cancelled_total == 1
    await at_rest(client, queue.name)
    assert not [
        field for field in await resolved(client.hkeys(f"{{{queue.name}}}:lanes")) if field.endswith(b":cancel")
    ]


async def test_the_id_of_what_was_cancelled_stays_known_until_it_is_forgotten(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    assert await queue.cancel("one", timeout=0) is Cancellation.ASKED
    assert await drain(there) == []
    assert not await queue.put(1, id="one")
    assert await drain(there) == []
    assert await queue.forget("one")
    assert await queue.put(1, id="one")
    assert await take(there, 1) == [1]
    await at_rest(client, queue.name)


# --- shutdown --------------------------------------------------------------------------------------------------------


async def test_a_shutdown_at_once_makes_no_dead_letter_of_it(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    await queue.put(2)
    waiting = await cancelling(queue, client)
    await queue.shutdown(immediate=True)
    assert await waiting is Cancellation.REMOVED
    assert [letter.body for letter in await there.dead_letters()] == [b"2"]
    await queue.reopen()
    assert await queue.replay() == 1
    assert await take(there, 1) == [2]
    await at_rest(client, queue.name)


async def test_a_drained_queue_ends_once_what_is_cancelled_has_ended(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    delivery = await there.get()
    await queue.shutdown()
    getting = asyncio.create_task(anext(queue, None))
    joining = asyncio.create_task(queue.join())
    assert await queue.cancel("one") is Cancellation.STOPPED
    async with asyncio.timeout(40):
        assert await getting is None
        await joining
    assert delivery.cancelled
    await at_rest(client, queue.name)
