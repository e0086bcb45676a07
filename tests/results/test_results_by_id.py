"""`Queue.result`: what a message comes to that any process submitted under an id."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import IdConflict, Progress, Queue, QueueEmpty, RemoteError, ResultLost, Session, UnknownId
from shared.concurrency.queues.membership.keys import queue_keys
from shared.message import Message
from tests.instruments import inside
from tests.instruments.answering import given_up, kept
from tests.instruments.census import take_census
from tests.instruments.processes import running
from tests.instruments.submitting import answer_named, submit_named
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(60)


class Twice(Message[int]):
    """Double it."""

    number: int


async def test_any_process_has_the_result_of_what_another_one_submitted(queue: Queue[int], url: str, name: str) -> None:
    async with running(submit_named, url, name, ["a", "b", "c"], 3600.0) as submitter:
        await submitter.said("submitted")
        assert await submitter.ended() == 0
    async with running(answer_named, url, name) as answerer:
        done, dead, held = await queue.result("a"), await queue.result("b"), await queue.result("c")
        async with asyncio.timeout(10):
            assert await done == {"twice": 0}
            with pytest.raises(RemoteError, match="unwanted"):
                await dead
            await answerer.said("holds")
            await until_report(held, Progress(0.5, "half"))
        # Who asks later has all of it at once.
        later = [await queue.result(id_) for id_ in "abc"]
        assert [future.done() for future in later] == [True, True, False]
        assert later[2].progress == Progress(0.5, "half")
        for future in (held, later[2]):
            future.cancel()
    assert isinstance(later[1].exception(), RemoteError)
    assert later[0].result() == {"twice": 0}


async def until_report(future: "asyncio.Future[object]", report: Progress) -> None:
    async def look() -> object:
        return getattr(future, "progress", None)

    await until(look, lambda found: found == report)


async def test_an_id_that_nobody_submitted_is_unknown(queue: Queue[int], there: Queue[int]) -> None:
    for case in ("never", "put"):
        if case == "put":
            await there.put(1, id="put")
        with pytest.raises(UnknownId, match=case) as caught:
            _ = await queue.result(case)
        assert isinstance(caught.value, LookupError)
    with pytest.raises(ValueError, match="an id is"):
        _ = await queue.result("a b")


async def test_cancelling_a_listener_only_stops_listening(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    submitted = await there.submit(1, id="one")
    heard, gone = await queue.result("one"), await queue.result("one")
    gone.cancel()
    await asyncio.sleep(0)
    await given_up(client, queue.name, 0)
    await (await queue.get()).ack(result="here")
    async with asyncio.timeout(5):
        assert [await submitted, await heard] == ["here", "here"]
    assert await kept(client, queue.name) == 1
    (await take_census(client, queue.name)).check()


async def test_who_submitted_it_may_listen_too(queue: Queue[int], there: Queue[int]) -> None:
    submitted = await queue.submit(1, id="one")
    heard = await queue.result("one")
    await (await there.get()).ack(result="here")
    async with asyncio.timeout(5):
        assert [await submitted, await heard] == ["here", "here"]


async def test_who_submitted_it_and_listens_may_cancel_either(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    submitted = await queue.submit(1, id="one")
    heard, gone = await queue.result("one"), await queue.result("one")
    gone.cancel()
    submitted.cancel()
    await given_up(client, queue.name, 1)
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    async with asyncio.timeout(5):
        with pytest.raises(RemoteError, match=r"^cancelled"):
            await heard


async def test_listening_revives_nothing(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    (await there.submit(1, id="one")).cancel()
    await given_up(client, queue.name, 1)
    heard = await queue.result("one")
    await given_up(client, queue.name, 1)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    async with asyncio.timeout(5):
        with pytest.raises(RemoteError, match=r"^cancelled"):
            await heard


async def test_an_id_is_unknown_once_its_time_is_over_and_its_outcome_gone(
    queue: Queue[int], other: Session, client: Redis
) -> None:
    brief = Queue(other, queue.name, int, known_for=0.05, results_for=10)
    _ = await brief.submit(1, id="one")
    (key,) = [record.split()[2] for record in await client.hvals(queue_keys(queue.name)["ids"].decode())]  # type: ignore[misc]
    delivery = await queue.get()
    await delivery.ack(result="one")

    async def time_is_over() -> bool:
        seconds, micros = await client.time()
        ((_, due),) = await client.zrange(queue_keys(queue.name)["ids_due"], 0, -1, withscores=True)
        return bool(due < seconds * 1000 + micros / 1000)

    await until(time_is_over, lambda is_over: is_over)
    # The record of the id is still there, and so is the result.
    assert await (await queue.result("one")) == "one"
    assert await client.hdel(queue_keys(queue.name)["results"].decode(), key) == 1  # type: ignore[misc]
    with pytest.raises(UnknownId, match="forgotten"):
        _ = await queue.result("one")


@pytest.mark.parametrize("asks", ["listen", "submit again"])
async def test_what_may_have_come_and_gone_between_two_looks_is_lost(
    asks: str, name: str, url: str, other: Session
) -> None:
    # Nobody notifies them: where their process was stopped for longer than an outcome is kept, none comes any more.
    queue, there = Queue(other, name, int, results_for=10), Queue(other, name, int, results_for=10)
    async with Session.open(url) as near:
        _ = await Queue(near, name, int, results_for=10).submit(1, id="one")
        future = await (queue.result("one") if asks == "listen" else queue.submit(1, id="one"))
        inside.last_looked(queue, 5)
        await until(lambda: asyncio.sleep(0, inside.last_look(queue)), lambda seconds: seconds < 4)
        assert not future.done()
        inside.last_looked(queue, 10)
        with pytest.raises(ResultLost, match="a result is kept for 10 s"):
            async with asyncio.timeout(10):
                await future
        await (await there.get()).ack(result=1)


async def test_the_report_is_forgotten_with_the_outcome(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    _ = await queue.submit(1, id="one")
    delivery = await there.get()
    await delivery.progress(0.5, "half")
    await until(lambda: kept(client, queue.name), lambda kept: kept == 1)
    await delivery.ack(result="one")
    assert await kept(client, queue.name) == 1
    fields = await client.hkeys(queue_keys(queue.name)["results"].decode())  # type: ignore[misc]
    assert [len(field) for field in fields] == [22]


async def test_the_class_of_the_message_says_of_what_type_the_result_is(
    session: Session, other: Session, name: str
) -> None:
    queue, there = Queue(session, name, Message), Queue(other, name, Message)
    _ = await there.submit(Twice(number=2), id="two")
    heard, wrong = await queue.result("two", Twice), await queue.result("two")
    await (await there.get()).ack(result=4)
    async with asyncio.timeout(5):
        number: int = await heard
        assert (number, await wrong) == (4, 4)


async def test_a_listener_is_told_when_the_session_ends(url: str, name: str, there: Queue[int]) -> None:
    _ = await there.submit(1, id="one")
    async with Session.open(url) as near:
        heard = await Queue(near, name, int).result("one")
    assert "closed" in str(heard.exception())


async def test_a_conflict_is_no_listener(queue: Queue[int], there: Queue[int]) -> None:
    _ = await there.submit(1, id="one")
    with pytest.raises(IdConflict):
        _ = await queue.submit(2, id="one")
    assert not (await queue.result("one")).done()
