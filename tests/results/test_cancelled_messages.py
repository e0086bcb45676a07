"""What submitters get of a message for which `cancel` was called."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    IdConflict,
    InvalidResult,
    MessageCancelled,
    Queue,
    QueueEmpty,
    RemoteError,
    Session,
)
from tests.instruments import inside
from tests.instruments.answering import kept
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.census import take_census
from tests.instruments.emptying import drain
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("id_", [None, "one"])
async def test_the_future_fails_when_the_message_is_removed(
    queue: Queue[int], there: Queue[int], client: Redis, id_: str | None
) -> None:
    future = await queue.submit(1, id=id_)
    assert await there.cancel(future.id, timeout=0) is Cancellation.ASKED
    assert await drain(there) == []
    with pytest.raises(RemoteError, match="somebody cancelled it") as caught:
        async with asyncio.timeout(40):
            await future
    assert caught.value.reason == "cancelled"
    await inside.results_flushed(queue)
    await at_rest(client, queue.name)
    assert await kept(client, queue.name) == (id_ is not None)


async def test_the_message_of_a_future_is_cancelled_in_somebody_s_hands(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    assert await future.cancel_message() is Cancellation.STOPPED
    assert delivery.cancelled
    with pytest.raises(RemoteError, match=r"^cancelled"):
        async with asyncio.timeout(40):
            await future
    assert await future.cancel_message() is Cancellation.FINISHED
    await at_rest(client, queue.name)


async def test_what_a_future_knows_needs_no_server(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    futures = [await queue.submit(number) for number in range(3)]
    await (await there.get()).ack(result=1)
    await (await there.get()).dead_letter("a test")
    delivery = await there.get()
    await delivery.ack(result=3)
    await asyncio.wait(futures, timeout=10)
    assert [await future.cancel_message() for future in futures] == [
        Cancellation.FINISHED, Cancellation.UNKNOWN, Cancellation.FINISHED
    ]  # fmt: skip
    assert isinstance(futures[1].exception(), RemoteError)
    assert (await take_census(client, queue.name)).marks == 0
    for timeout in (-1, float("inf"), "1"):
        with pytest.raises(ValueError, match="timeout"):
            await futures[0].cancel_message(timeout=timeout)  # type: ignore[arg-type]


async def test_a_result_of_another_type_was_acknowledged_all_the_same(
    session: Session, there: Queue[int], name: str
) -> None:
    future = await Queue(session, name, int, result=int).submit(1)
    await (await there.get()).ack(result="no number")
    await asyncio.wait({future}, timeout=10)
    assert isinstance(future.exception(), InvalidResult)
    assert await future.cancel_message() is Cancellation.FINISHED


async def test_a_cancelled_future_still_cancels_its_message_where_it_is_handled(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    assert future.cancel()
    await until(lambda: take_census(client, queue.name), lambda census: census.marks == 1)
    before = delivery.cancelled
    assert await future.cancel_message() is Cancellation.STOPPED
    assert (before, delivery.cancelled) == (False, True), "future.cancel() alone stops no handler"
    await inside.results_flushed(queue)
    await at_rest(client, queue.name)
    assert await kept(client, queue.name) == 0, "nobody waits for it"


@pytest.mark.parametrize("first", ["future", "message"])
async def test_neither_of_the_two_undoes_the_other(
    queue: Queue[int], there: Queue[int], client: Redis, first: str
) -> None:
    future = await queue.submit(1)
    if first == "future":
        future.cancel()
        await until(lambda: take_census(client, queue.name), lambda census: census.marks == 1)
    waiting = await cancelling(there, client, future.id)
    if first == "message":
        future.cancel()
        await asyncio.sleep(0)
        await inside.results_flushed(queue)
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    assert await waiting is Cancellation.REMOVED
    assert (await queue.statistics()).cancelled_total == 1
    await at_rest(client, queue.name)
    assert await kept(client, queue.name) == 0


async def test_submitting_again_does_not_bring_it_back(
    queue: Queue[int], session: Session, there: Queue[int], client: Redis
) -> None:
    """As it does for a future that was cancelled: see `test_who_submits_again_what_was_given_up_wants_it_again`."""
    future = await queue.submit(1, id="one")
    waiting = await cancelling(queue, client)
    again = await Queue(session, there.name, int).submit(1, id="one")
    assert await drain(there) == []
    assert await waiting is Cancellation.REMOVED
    for each in (future, again, await queue.submit(1, id="one")):
        with pytest.raises(RemoteError, match=r"^cancelled"):
            async with asyncio.timeout(40):
                await each
    assert await drain(there) == []
    await at_rest(client, queue.name)
    assert await queue.forget("one")
    anew = await queue.submit(1, id="one")
    await (await there.get()).ack(result=5)
    assert await anew == 5


async def test_who_joins_a_submission_cancels_it_for_all(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    mine = await queue.submit(1, id="one")
    theirs = await there.submit(1, id="one")
    delivery = await there.get()
    assert await theirs.cancel_message() is Cancellation.STOPPED
    assert delivery.cancelled
    for each in (mine, theirs):
        with pytest.raises(RemoteError, match=r"^cancelled"):
            async with asyncio.timeout(40):
                await each
    await at_rest(client, queue.name)


async def test_a_submit_that_waits_for_room_raises_and_its_id_answers(
    session: Session, there: Queue[int], client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    submitting = asyncio.create_task(queue.submit(1, id="one"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    assert await there.cancel("one") is Cancellation.REMOVED
    await asyncio.wait({submitting}, timeout=10)
    assert isinstance(submitting.exception(), MessageCancelled)
    again = await there.submit(1, id="one")
    with pytest.raises(RemoteError, match=r"^cancelled"):
        async with asyncio.timeout(40):
            await again
    assert await drain(there) == [0]
    await at_rest(client, name)


async def test_a_plain_put_under_an_id_is_no_submission_still(queue: Queue[int], there: Queue[int]) -> None:
    await queue.put(1, id="one")
    with pytest.raises(IdConflict, match="without asking for its result"):
        _ = await there.submit(1, id="one")
    assert await drain(there) == [1]
