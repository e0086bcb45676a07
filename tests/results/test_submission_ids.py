"""Submissions under an id: one message, one result."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    IdConflict,
    Queue,
    QueueEmpty,
    RemoteError,
    Session,
)
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.answering import given_up, kept
from tests.instruments.census import take_census

pytestmark = pytest.mark.timeout(180)


async def test_a_known_id_has_the_result_of_the_first(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    first = await queue.submit(1, id="one")
    async with Session.open(url) as other:
        second = await Queue(other, queue.name, int).submit(1, id="one")
        third = await queue.submit(1, id="one")
        assert await queue.qsize() == 1
        delivery = await there.get()
        assert delivery.id == "one"
        await delivery.ack(result="first")
        async with asyncio.timeout(5):
            assert await asyncio.gather(*[first, second, third]) == ["first"] * 3
        # And later, for as long as the id is known.
        assert await (await Queue(other, queue.name, int).submit(1, id="one")) == "first"
    assert (await queue.statistics()).put_total == 1
    assert await kept(client, queue.name) == 1
    with pytest.raises(IdConflict, match="another body"):
        _ = await queue.submit(2, id="one")


async def test_a_result_under_an_id_is_kept_as_long_as_the_id_is_known(
    session: Session, there: Queue[int], name: str, client: Redis
) -> None:
    _ = await Queue(session, name, int, known_for=7200, results_for=10).submit(1, id="one")
    await (await there.get()).ack()
    ((_, due),) = await client.zrange(queue_keys(name)["results_due"], 0, -1, withscores=True)
    seconds, _ = await client.time()
    assert 7100 < due / 1000 - seconds < 7201


async def test_an_id_that_was_put_without_asking_is_a_conflict(queue: Queue[int]) -> None:
    await queue.put(1, id="one")
    with pytest.raises(IdConflict, match="without asking"):
        _ = await queue.submit(1, id="one")
    assert await queue.qsize() == 1
    await queue.put(1, id="one")


async def test_an_id_whose_message_was_given_up_is_new_again(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    first = await queue.submit(1, id="one")
    async with Session.open(url) as other:
        second = await Queue(other, queue.name, int).submit(1, id="one")
        third = await Queue(other, queue.name, int).submit(1, id="one")
        # It is not theirs to give up.
        third.cancel()
        await asyncio.sleep(0)
        first.cancel()
        await given_up(client, queue.name, 1)
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
        async with asyncio.timeout(5):
            with pytest.raises(RemoteError, match=r"^cancelled"):
                await second
    again = await queue.submit(1, id="one")
    await (await there.get()).ack(result="again")
    assert await again == "again"
    (await take_census(client, queue.name)).check()


async def test_who_submits_again_what_was_given_up_wants_it_again(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(await queue.submit(1, id="one"), 0.01)
    await given_up(client, queue.name, 1)
    again = await queue.submit(1, id="one")
    await given_up(client, queue.name, 0)
    delivery = await there.get()
    # And when it has been taken, and comes back.
    second = await queue.submit(2, id="two")
    held = await there.get()
    second.cancel()
    await given_up(client, queue.name, 1)
    async with Session.open(url) as other:
        third = await Queue(other, queue.name, int).submit(2, id="two")
        await held.nack()
        await delivery.ack(result="one")
        async with asyncio.timeout(5):
            await (await there.get()).ack(result="two")
            assert [await again, await third] == ["one", "two"]
    assert (await queue.statistics()).cancelled_total == 0
    (await take_census(client, queue.name)).check()


async def test_an_id_that_is_forgotten_before_we_ask_for_it_is_new(
    queue: Queue[int], there: Queue[int], client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await queue.submit(1, id="one")
    results = inside.result_lane_at(queue)
    ask = results.key_of

    async def ask_late(id_: str) -> bytes | None:
        first.cancel()
        await given_up(client, queue.name, 1)
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
        return await ask(id_)

    monkeypatch.setattr(results, "key_of", ask_late)
    second = await queue.submit(1, id="one")
    async with asyncio.timeout(5):
        await (await there.get()).ack(result="second")
        assert await second == "second"
    await asyncio.sleep(0)
    assert inside.results_awaited(queue) == 0
    assert (await queue.statistics()).put_total == 2
    (await take_census(client, queue.name)).check()


@pytest.mark.parametrize("id_", ["", "a b", "x" * 129, 5])
async def test_a_bad_id_is_refused_before_anything_is_sent(queue: Queue[int], id_: Any) -> None:
    with pytest.raises(ValueError, match="an id is"):
        _ = await queue.submit(1, id=id_)
    with pytest.raises((TypeError, ValueError)):
        _ = await queue.submit("x")  # type: ignore[call-overload]
    assert await queue.qsize() == 0
