"""Deferred messages and the clocks that put them: killed at any moment, it puts nothing twice and forgets nothing."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from arq import Retry
from arq.connections import ArqRedis, create_pool
from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from pydantic import SecretStr
from redis.asyncio import Redis

from producer.clock import puts
from producer.clock.puts import JOB_TIMEOUT, Puts
from shared import Priority
from shared.clock.arq_settings import redis_settings
from shared.clock.deferred import PUT_MESSAGE, job_id
from shared.clock.jobs import JOB_KEY, RESULT_KEY, RUNNING_KEY, TRIES_KEY, clock_queue, encode, new_job
from shared.concurrency import Cancellation, IdConflict, QueueEmpty
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from tests.faults.test_restart import kill_and_start
from tests.instruments import figures
from tests.instruments.clocks import Moment, clock
from tests.instruments.durable import DurableServer
from tests.instruments.messages import Errand
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = [
    pytest.mark.timeout(180),
    # arq tells redis-py 8 what it does anyhow.
    pytest.mark.filterwarnings("ignore:.*retry_on_timeout:DeprecationWarning"),
]


def message(part: int = 1) -> Errand:
    return Errand(file="f", part=part, text="é")


class OfACustomer(Message, key="customer"):
    """One that the clock's process does not have."""

    customer: str


def settings(url: str, name: str, **others: Any) -> Settings:
    return Settings(redis_url=SecretStr(url), queue=name, maxsize=None, **others)


def variables(url: str, name: str) -> dict[str, str]:
    """What tells a clock where to work."""
    return {"REDIS_URL": url, "PIPELINE_QUEUE": name}


@pytest.fixture
async def pipeline(url: str, name: str) -> AsyncIterator[Pipeline]:
    async with open_pipeline(settings(url, name)) as pipeline:
        yield pipeline


async def take(pipeline: Pipeline) -> int:
    """Take one and acknowledge; which part it is."""
    async with asyncio.timeout(100), await pipeline.queue.get() as item:
        assert isinstance(item, Errand)
        return item.part


async def deferred(client: Redis, name: str) -> list[str]:
    """The ids of the messages that the clock is not done with."""
    jobs = await client.zrange(clock_queue(name), 0, -1)
    return [job.decode().rpartition(":")[2] for job in jobs if job.startswith(b"message:")]


async def done_with(client: Redis, name: str, seconds: float = 0.0) -> None:
    """Wait until nothing is deferred, with all that a clock had begun so long ago up for others."""

    async def look() -> list[str]:
        for key in await client.keys(f"arq:in-progress:message:{name}:*"):
            if await client.pttl(key) <= 1000 * (JOB_TIMEOUT + 10 - seconds):
                await client.delete(key)  # which its time to live would do, by and by
        return await deferred(client, name)

    await until(look, lambda left: not left, 90)


# --- the usual way ----------------------------------------------------------------------------------------------------


async def test_it_is_put_when_it_is_due_and_not_before(pipeline: Pipeline, url: str, name: str, client: Redis) -> None:
    async with clock(variables(url, name)) as running:
        await running.said("the clock runs")
        scheduled_at = time.time()
        await pipeline.schedule(message(2), after=1.5, id="second")
        await pipeline.schedule(message(1), after=0.5, id="first")
        await pipeline.schedule(message(3), after=0.5, id="never")
        assert await pipeline.unschedule("never")
        for id_, part, after in (("first", 1, 0.5), ("second", 2, 1.5)):
            async with asyncio.timeout(100):
                delivery = await pipeline.queue.get()
            assert time.time() >= scheduled_at + after
            assert delivery.item == message(part)
            assert delivery.id.startswith(f"{id_}@")
            await delivery.ack()
        await done_with(client, name)
        # For an hour the id stands for the message that was put.
        assert await pipeline.schedule(message(1), after=0, id="first") == "first"
        with pytest.raises(IdConflict):
            await pipeline.schedule(message(2), after=0, id="first")
        assert not await pipeline.unschedule("first")
        assert await deferred(client, name) == []
        assert 3500 < await client.ttl(f"arq:result:message:{name}:first") <= 3600
        await running.stop()
    assert (await pipeline.queue.statistics()).put_total == 2


async def test_the_clock_puts_it_with_what_was_asked_of_its_way_and_declared(
    pipeline: Pipeline, url: str, name: str
) -> None:
    """The clock need not have the class."""
    async with clock(variables(url, name)):
        await pipeline.schedule(OfACustomer(customer="c7"), after=0, id="declared")
        await pipeline.schedule(message(), after=0, id="given", key="k", share="s", priority=Priority.LOW, limit="l")
        seen = {}
        for _ in range(2):
            async with asyncio.timeout(100):
                delivery = await pipeline.queue.get()
            seen[delivery.id.partition("@")[0]] = (delivery.key, delivery.share, delivery.priority)
            await delivery.ack()
    assert seen == {"declared": ("c7", None, Priority.NORMAL), "given": ("k", "s", Priority.LOW)}


async def test_the_same_id_may_be_used_again_when_it_is_forgotten(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    async with clock(variables(url, name)):
        for _ in range(2):
            await pipeline.schedule(message(), after=0, id="daily")
            assert await take(pipeline) == 1
            await done_with(client, name)
            await client.delete(f"arq:result:message:{name}:daily")  # an hour later
    assert (await pipeline.queue.statistics()).put_total == 2


async def test_the_queue_remembers_a_put_of_the_clock_for_a_week(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    async with clock(variables(url, name)):
        await pipeline.schedule(message(), after=0, id="a")
        await take(pipeline)
    [(_, forgotten_at)] = await client.zrange(f"{{{name}}}:ids:due", 0, -1, withscores=True)
    assert forgotten_at / 1000 - time.time() > 6.9 * 86400


async def test_the_clock_has_a_server_of_its_own(
    pipeline: Pipeline, server: EmbeddedServer, url: str, name: str, client: Redis
) -> None:
    async with (
        clock(variables(url, name) | {"PIPELINE_CLOCK_URL": server.url}) as running,
        open_pipeline(settings(url, name, clock_url=SecretStr(server.url))) as there,
    ):
        await there.schedule(message(), after=0)
        assert await take(pipeline) == 1
        await running.said("ticked")
        assert not await client.keys(f"arq:*{name}*")
        await running.stop()


@pytest.mark.slow
async def test_a_deferred_message_outlives_the_clock_and_the_server(tmp_path: Path) -> None:
    with DurableServer(tmp_path / "server") as durable:
        of_clock = variables(durable.url, "durable")
        async with open_pipeline(settings(durable.url, "durable")) as pipeline:
            async with clock(of_clock) as first:
                await first.said("the clock runs")
                await pipeline.schedule(message(1), after=4)
                first.kill()
            await kill_and_start(durable)
            async with clock(of_clock) as second:
                await second.said("the clock runs")
                await kill_and_start(durable)
                assert await take(pipeline) == 1
                await pipeline.schedule(message(2), after=0)
                assert await take(pipeline) == 2
                await second.stop(lost_server=True)
            assert (await pipeline.queue.statistics()).put_total == 2


# --- no room ----------------------------------------------------------------------------------------------------------


async def test_a_full_queue_makes_the_clock_wait_and_nothing_is_lost(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    count = 8
    await pipeline.queue.resize(1)
    of_clock = variables(url, name) | {"PIPELINE_GRACE": "0.2"}
    for part in range(count):
        await pipeline.schedule(message(part), after=0, id=str(part))
    async with clock(of_clock) as first:
        await until(pipeline.queue.statistics, lambda seen: (seen.pending, seen.puts_waiting) == (1, count - 1), 90)
        # Under way, so it is too late.
        assert not [part for part in range(count) if await pipeline.unschedule(str(part))]
        # For ever: arq would forget after a day that it has begun.
        begun = [await client.ttl(f"arq:retry:message:{name}:{part}") for part in await deferred(client, name)]
        assert begun == [-1] * (count - 1)
        assert len(await deferred(client, name)) == count - 1
        # What waits is withdrawn, and kept.
        await first.stop()
    seen = await pipeline.queue.statistics()
    assert (seen.pending, seen.puts_waiting) == (1, 0)
    async with clock(of_clock) as second:
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == count - 1, 90)
        second.kill()
        await second.ended()
        async with clock(of_clock):
            finished = asyncio.create_task(done_with(client, name))
            assert sorted([await take(pipeline) for _ in range(count)]) == list(range(count))
            await finished
    seen = await pipeline.queue.statistics()
    assert (seen.put_total, seen.pending, seen.puts_waiting) == (count, 0, 0)


async def test_a_put_keeps_its_place_in_line_while_its_job_begins_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puts, "_SLICE", 0.01)
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    async with Puts(pipeline) as waiting, open_pipeline(pipeline.settings) as elsewhere:
        with pytest.raises(Retry):
            await waiting.put(message(2), id="job")
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1)
        behind = asyncio.create_task(elsewhere.queue.put(message(3)))
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 2)
        for _ in range(3):
            with pytest.raises(Retry):
                await waiting.put(message(2), id="job")
        # Another clock may take up the job in between.
        async with Puts(elsewhere) as others:
            with pytest.raises(Retry):
                await others.put(message(2), id="job")
            assert [await take(pipeline) for _ in range(3)] == [1, 2, 3]
        await behind
        await waiting.put(message(2), id="job")
    seen = await pipeline.queue.statistics()
    assert (seen.put_total, seen.puts_waiting) == (3, 0)


async def test_a_job_that_takes_longer_than_it_may_begins_again(pipeline: Pipeline, name: str, client: Redis) -> None:
    """As where its process was stopped: when it goes on both times are over, and arq fails a job that it cancels."""
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    async with Puts(pipeline) as waiting:
        context = {
            "puts": waiting, "redis": client, "job_id": job_id(name, "late"), "enqueue_time": datetime.now(UTC)
        }  # fmt: skip
        job = asyncio.create_task(puts.put_message(context, "Errand", message(2).model_dump_json()))
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1)
        with pytest.raises(Retry):
            await asyncio.wait_for(job, 0.01)  # as arq does
        seen = await pipeline.queue.statistics()
        assert (seen.put_total, seen.puts_waiting) == (1, 1), "it keeps its place"


async def test_a_shutdown_between_two_tries_is_heard_by_the_next(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puts, "_SLICE", 0.01)
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    async with Puts(pipeline) as waiting:
        with pytest.raises(Retry):
            await waiting.put(message(2), id="job")
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1)
        await pipeline.queue.shutdown()
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 0)
        monkeypatch.undo()
        with pytest.raises(Retry) as told:
            await waiting.put(message(2), id="job")
        assert told.value.defer_score == 10_000


async def test_what_still_waits_at_the_end_is_withdrawn(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puts, "_SLICE", 0.01)
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    async with Puts(pipeline) as waiting:
        with pytest.raises(Retry):
            await waiting.put(message(2), id="job")
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1)
    seen = await pipeline.queue.statistics()
    assert (seen.pending, seen.puts_waiting) == (1, 0)


async def test_a_queue_that_is_shut_down_is_waited_out(pipeline: Pipeline) -> None:
    await pipeline.queue.shutdown()
    async with Puts(pipeline) as waiting:
        with pytest.raises(Retry) as told:
            await waiting.put(message(), id="job")
        assert told.value.defer_score == 10_000
        await pipeline.queue.reopen()
        await waiting.put(message(), id="job")
        await waiting.put(message(), id="job")
        with pytest.raises(IdConflict):
            await waiting.put(message(2), id="job")
    assert (await pipeline.queue.statistics()).put_total == 1


# --- killed and cut off -----------------------------------------------------------------------------------------------


IN_ORDER: Final = ["WATCH", "EXISTS", "ZSCORE", "EXEC", "EXEC", "PERSIST", "put", "EXEC"]
MOMENTS: Final = tuple(range(1, len(IN_ORDER) + 2)) if "WEIR_CAMPAIGN_CLOCK" in os.environ else (4, 7, 8, 9)
"""Before which of them, from 1; the last is not met any more. `./run campaign clock` takes all."""
MET: Final = [IN_ORDER[nth - 1] for nth in MOMENTS if nth <= len(IN_ORDER)]


@pytest.mark.slow
async def test_a_clock_that_is_killed_before_any_command_puts_once(
    pipeline: Pipeline, url: str, name: str, client: Redis, tmp_path: Path
) -> None:
    met: list[str] = []
    async with Proxy(url, tmp_path) as proxy:
        for number, nth in enumerate(MOMENTS, 1):
            proxy.judge = lambda _: Fate.PASS
            async with clock(variables(proxy.url, name)) as running:
                await running.said("the clock runs")
                # This one takes up what the last one had begun.
                await done_with(client, name)
                assert [await take(pipeline) for _ in met[-1:]] == [number - 1][: len(met)]
                assert (await pipeline.queue.statistics()).put_total == number - 1

                moment = Moment(f"nth-{number:02}", nth, running.kill_before)
                proxy.judge = moment.judge
                await pipeline.schedule(message(number), after=0, id=f"nth-{number:02}")
                await until(partial(killed_or_done, client, name, moment), bool, 90)
                if moment.met is None:
                    break
                met.append(moment.met)
                await running.ended()
        assert await take(pipeline) == number
    assert met == MET
    figures.count("deaths of a clock", len(met))
    assert (await pipeline.queue.statistics()).put_total == number


async def killed_or_done(client: Redis, name: str, moment: Moment) -> bool:
    return moment.met is not None or not await deferred(client, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fate",
    [
        pytest.param(Fate.DROP_BEFORE, marks=pytest.mark.slow),
        Fate.DROP_AFTER,
        pytest.param(Fate.DROP_WITHIN, marks=pytest.mark.slow),
    ],
)
async def test_a_clock_that_is_cut_off_at_any_command_puts_once(
    pipeline: Pipeline, url: str, name: str, client: Redis, tmp_path: Path, *, fate: Fate
) -> None:
    met: list[str] = []
    async with Proxy(url, tmp_path) as proxy, clock(variables(proxy.url, name)) as running:
        await running.said("the clock runs")
        for number, nth in enumerate(MOMENTS, 1):
            moment = Moment(f"nth-{number:02}", nth, lambda: fate)
            proxy.judge = moment.judge
            await pipeline.schedule(message(number), after=0, id=f"nth-{number:02}")
            await until(partial(killed_or_done, client, name, moment), bool, 90)
            # One that goes on by itself is left alone.
            await done_with(client, name, seconds=1.5)
            assert await take(pipeline) == number
            assert (await pipeline.queue.statistics()).put_total == number
            if moment.met is None:
                break
            met.append(moment.met)
        await running.stop()
    assert met == MET
    figures.count("broken connections of a clock", len(met))


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.fixture
async def arq(url: str, name: str) -> AsyncIterator[ArqRedis]:
    """arq's own pool, which writes pickles unless it is told."""
    pool = await create_pool(redis_settings(url), default_queue_name=clock_queue(name))
    yield pool
    await pool.aclose(close_connection_pool=True)


async def test_a_pickle_is_refused_and_reported_and_the_clock_goes_on(
    pipeline: Pipeline, url: str, name: str, arq: ArqRedis, tmp_path: Path
) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "loaded"),)

    await arq.enqueue_job(PUT_MESSAGE, Touch(), "{}", _job_id=job_id(name, "bomb"))
    await pipeline.schedule(message(), after=0)
    async with clock(variables(url, name)) as running:
        assert await take(pipeline) == 1
        await running.said("a job cannot be read")
        (line,) = [line for line in running.lines if "a job cannot be read" in line]
        assert f"message:{name}:bomb" in line
        assert "a pickle is not loaded" in line
    assert not (tmp_path / "loaded").exists()
    assert (await pipeline.queue.statistics()).put_total == 1


async def test_a_clock_puts_a_version_that_it_does_not_have(pipeline: Pipeline, url: str, name: str) -> None:
    class Later(Message, version=3):
        number: int

    try:
        async with clock(variables(url, name)) as running:
            await pipeline.schedule(Later(number=7), after=0)
            await running.said("a deferred message cannot be read here: a consumer may")
            async with asyncio.timeout(100):
                delivery = await pipeline.queue.get()
            assert (delivery.item, delivery.version) == (Later(number=7), 3)
            await delivery.ack()
    finally:
        del Message._classes["Later"]


async def test_a_message_that_can_not_be_read_any_more_is_reported_and_becomes_a_dead_letter(
    url: str, name: str, arq: ArqRedis
) -> None:
    async with open_pipeline(settings(url, name, unread_for=0.001)) as pipeline:
        await _report_what_cannot_be_read(pipeline, url, name, arq)


async def _report_what_cannot_be_read(pipeline: Pipeline, url: str, name: str, arq: ArqRedis) -> None:
    arq.job_serializer = encode
    bodies = {"gone": ("Gone", '{"a": [1, null, 1e16]}'), "older": ("Errand", '{"words": "é"}')}
    for id_, stored in bodies.items():
        await arq.enqueue_job(PUT_MESSAGE, *stored, _job_id=job_id(name, id_))
    await arq.enqueue_job(PUT_MESSAGE, "Gone", "no JSON", _job_id=job_id(name, "foreign"))
    async with clock(variables(url, name)) as running:
        await running.said("a deferred message cannot be read")
        await running.said("a deferred message cannot be read here: a consumer may")
        await running.said("a job failed")
        (line,) = [line for line in running.lines if "a job failed" in line]
        assert f"message:{name}:foreign:put_message" in line
        await until(pipeline.queue.statistics, lambda seen: seen.put_total == 2, 90)
        await pipeline.schedule(message(), after=0)
        assert await take(pipeline) == 1
    # The class that is gone comes again, for somebody who has it; its time is over then.
    waiting = asyncio.create_task(pipeline.queue.get())
    await until(pipeline.queue.statistics, lambda seen: seen.dead == 2)
    waiting.cancel()
    letters = {letter.id.partition("@")[0]: letter for letter in await pipeline.queue.dead_letters()}
    assert {id_: letter.reason for id_, letter in letters.items()} == {"gone": "unknown_type", "older": "invalid"}
    for id_, (_, body) in bodies.items():
        assert json.loads(letters[id_].body) == json.loads(body)


# --- cancelled --------------------------------------------------------------------------------------------------------


async def test_it_is_cancelled_before_a_clock_has_begun_it_and_after(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    await pipeline.schedule(message(1), after=3600, id="later")
    assert await pipeline.cancel("later") is Cancellation.REMOVED
    assert await deferred(client, name) == []
    assert await pipeline.cancel("later") is Cancellation.UNKNOWN
    await pipeline.queue.put(message(5), id="plain")
    await pipeline.schedule(message(2), after=0, id="now")
    async with clock(variables(url, name)):
        await until(pipeline.queue.statistics, lambda seen: seen.put_total == 2, 90)
        # Under the id of `schedule`, though its own has a number behind.
        assert await pipeline.cancel("now", timeout=0) is Cancellation.ASKED
        assert await take(pipeline) == 5
        with pytest.raises(QueueEmpty):
            await pipeline.queue.get_nowait()
        assert (await pipeline.queue.statistics()).cancelled_total == 1
        await done_with(client, name)
        assert await pipeline.cancel("now") is Cancellation.FINISHED
    assert await pipeline.cancel("plain") is Cancellation.FINISHED
    for wrong in ("", "two words", "x" * 129):
        with pytest.raises(ValueError, match="an id is"):
            await pipeline.cancel(wrong)
    with pytest.raises(ValueError, match="timeout"):
        await pipeline.cancel("now", timeout=-1)
    assert await pipeline.cancel("x" * 120) is Cancellation.UNKNOWN


async def test_a_clock_whose_put_waits_for_room_does_not_put_again_what_was_cancelled(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    await pipeline.schedule(message(2), after=0, id="full")
    async with clock(variables(url, name)) as running:
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1, 90)
        assert await pipeline.cancel("full") is Cancellation.REMOVED
        await running.said("was cancelled while its put waited for room")
        await until(lambda: deferred(client, name), lambda left: not left)
        assert await take(pipeline) == 1
        assert (await pipeline.queue.statistics()).put_total == 1
        await running.stop()


async def test_a_clock_that_is_killed_while_its_put_waits_does_not_bring_back_what_was_cancelled(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    await pipeline.queue.resize(1)
    await pipeline.queue.put(message(1))
    await pipeline.schedule(message(2), after=0, id="full")
    async with clock(variables(url, name)) as running:
        await until(pipeline.queue.statistics, lambda seen: seen.puts_waiting == 1, 90)
        killed_at = time.monotonic()
        running.kill()
        await running.ended()
    assert await pipeline.cancel("full") is Cancellation.REMOVED
    assert await take(pipeline) == 1
    async with clock(variables(url, name)):
        await done_with(client, name, time.monotonic() - killed_at)
    assert (await pipeline.queue.statistics()).put_total == 1


def test_a_job_is_written_as_arq_writes_it() -> None:
    """Its names and its form are said again here: whoever defers a message does not import arq."""
    assert (job_key_prefix, result_key_prefix) == (JOB_KEY, RESULT_KEY)
    assert (in_progress_key_prefix, retry_key_prefix) == (RUNNING_KEY, TRIES_KEY)
    assert new_job("put", ["a", {"b": 1}], 7) == serialize_job("put", ("a", {"b": 1}), {}, None, 7, serializer=encode)
