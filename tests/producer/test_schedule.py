"""`schedule` and `unschedule`: what they store is arq's, has one effect whatever breaks, and expires never."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis, create_pool
from arq.jobs import Job, JobStatus
from pydantic import ConfigDict, SecretStr, create_model
from redis.asyncio import Redis
from redis.exceptions import WatchError

from shared.clock.arq_settings import redis_settings
from shared.clock.deferred import PUT_MESSAGE, job_id
from shared.clock.jobs import clock_queue, decode, encode
from shared.concurrency import ConcurrencyError, IdConflict, MessageTooLarge, ServerRefused
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from tests.faults.test_restart import kill_and_start
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.durable import DurableServer
from tests.instruments.messages import Errand
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate

pytestmark = [
    pytest.mark.timeout(180),
    # arq tells redis-py 8 what it does anyhow.
    pytest.mark.filterwarnings("ignore:.*retry_on_timeout:DeprecationWarning"),
]

HOUR = 3600.0


def message(part: int = 1) -> Errand:
    return Errand(file="é\n.py", part=part, text='"\\ \u2028')


def settings(url: str, name: str, **others: Any) -> Settings:
    return Settings(redis_url=SecretStr(url), queue=name, **others)


@pytest.fixture
async def pipeline(url: str, name: str) -> AsyncIterator[Pipeline]:
    async with open_pipeline(settings(url, name, max_message_bytes=1000)) as pipeline:
        yield pipeline


@pytest.fixture
async def arq(url: str, name: str) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(
        redis_settings(url), job_serializer=encode, job_deserializer=decode, default_queue_name=clock_queue(name)
    )
    yield pool
    await pool.aclose(close_connection_pool=True)


async def waiting(client: Redis, name: str) -> dict[str, float]:
    """The deferred messages by their ids, and when they are due."""
    jobs = await client.zrange(clock_queue(name), 0, -1, withscores=True)
    there = {job.decode().rpartition(":")[2]: score / 1000 for job, score in jobs}
    assert {key.decode().rpartition(":")[2] for key in await client.keys(f"arq:job:message:{name}:*")} == set(there)
    return there


# --- what is stored ---------------------------------------------------------------------------------------------------


async def test_arq_finds_what_it_would_have_written_itself(pipeline: Pipeline, name: str, arq: ArqRedis) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    assert await pipeline.schedule(message(), at=at, id="ours") == "ours"
    body = message().model_dump_json()
    theirs = await arq.enqueue_job(PUT_MESSAGE, "Errand", body, _job_id=job_id(name, "theirs"), _defer_until=at)
    assert theirs is not None
    ours = Job(job_id(name, "ours"), arq, clock_queue(name), decode)
    assert await ours.status() == await theirs.status() == JobStatus.deferred
    mine, other = await ours.info(), await theirs.info()
    assert mine is not None
    assert other is not None
    assert (mine.function, list(mine.args), mine.kwargs, mine.job_try) == (
        other.function, list(other.args), other.kwargs, other.job_try,
    )  # fmt: skip
    assert mine.score is not None
    assert other.score is not None
    assert abs(mine.score - other.score) <= 1
    assert abs(mine.enqueue_time - other.enqueue_time) < timedelta(seconds=10)


async def test_a_message_25_hours_ahead_outlives_arqs_24(pipeline: Pipeline, name: str, client: Redis) -> None:
    id_ = await pipeline.schedule(message(), after=25 * HOUR)
    left = await client.pttl(f"arq:job:message:{name}:{id_}")
    assert left > 99 * 365 * 86_400_000
    due = (await waiting(client, name))[id_]
    assert abs(due - datetime.now(UTC).timestamp() - 25 * HOUR) < 10


async def test_a_time_in_any_zone_is_that_time_and_one_that_has_passed_is_now(
    pipeline: Pipeline, name: str, client: Redis
) -> None:
    before = datetime.now(UTC)
    tomorrow = before + timedelta(days=1)
    await pipeline.schedule(message(), at=tomorrow.astimezone(timezone(timedelta(hours=-7))), id="tomorrow")
    await pipeline.schedule(message(), at=datetime.fromtimestamp(0, UTC), id="long-ago")
    there = await waiting(client, name)
    assert there["tomorrow"] == pytest.approx(tomorrow.timestamp(), abs=0.002)
    assert before.timestamp() <= there["long-ago"] <= datetime.now(UTC).timestamp() + 0.002


async def test_without_an_id_each_message_has_its_own(pipeline: Pipeline, name: str, client: Redis) -> None:
    ids = {await pipeline.schedule(message(), after=HOUR) for _ in range(3)}
    assert set(await waiting(client, name)) == ids
    assert len(ids) == 3


async def test_no_connection_is_opened_before_the_first_call(url: str, name: str, tmp_path: Path) -> None:
    async with Proxy(url, tmp_path) as proxy:
        async with open_pipeline(settings(url, name, clock_url=SecretStr(proxy.url))) as pipeline:
            await pipeline.queue.put(message())
            await (await pipeline.queue.get()).ack()
            assert not proxy.commands
            await pipeline.schedule(message(), after=HOUR)
            assert [command.name for command in proxy.commands][-1] == "?"  # a script that is not of the queue
        assert not proxy._links


# --- the same id ------------------------------------------------------------------------------------------------------


async def test_the_same_id_again_is_one_message_at_the_first_time(pipeline: Pipeline, name: str, client: Redis) -> None:
    assert await pipeline.schedule(message(), after=HOUR, id="a") == "a"
    first = await waiting(client, name)
    assert await pipeline.schedule(message(), after=2 * HOUR, id="a") == "a"
    assert await waiting(client, name) == first
    with pytest.raises(IdConflict, match="unschedule it first"):
        await pipeline.schedule(message(2), after=HOUR, id="a")
    assert await waiting(client, name) == first


async def test_a_cancelled_message_may_be_scheduled_anew(pipeline: Pipeline, name: str, client: Redis) -> None:
    await pipeline.schedule(message(), after=HOUR, id="a")
    assert await pipeline.unschedule("a")
    assert await waiting(client, name) == {}
    assert not await pipeline.unschedule("a")
    await pipeline.schedule(message(2), after=2 * HOUR, id="a")
    assert set(await waiting(client, name)) == {"a"}
    assert await pipeline.unschedule("a")
    # What is overdue and was not begun can be cancelled as well.
    await pipeline.schedule(message(), after=0, id="a")
    assert await pipeline.unschedule("a")


async def test_ids_of_two_pipelines_on_one_server_are_apart(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    async with open_pipeline(settings(url, f"{name}.2")) as other:
        await pipeline.schedule(message(), after=HOUR, id="a")
        await other.schedule(message(2), after=HOUR, id="a")
        assert await other.unschedule("a")
        assert set(await waiting(client, name)) == {"a"}


async def test_an_id_that_stands_for_something_unreadable_is_a_conflict(
    pipeline: Pipeline, name: str, client: Redis
) -> None:
    for stored in (b"\x80\x04N.", b"[]", b'{"f": "other", "a": []}'):
        await client.set(f"arq:job:message:{name}:a", stored)
        with pytest.raises(IdConflict):
            await pipeline.schedule(message(), after=HOUR, id="a")


async def test_a_clock_that_has_just_looked_at_it_does_not_begin_what_is_cancelled(
    pipeline: Pipeline, name: str, client: Redis
) -> None:
    await pipeline.schedule(message(), after=0, id="a")
    begun = f"arq:in-progress:message:{name}:a"
    # arq's way to begin a job, with us in the middle of it.
    async with client.pipeline(transaction=True) as transaction:
        await transaction.watch(begun)
        assert not await transaction.exists(begun)
        assert await pipeline.unschedule("a")
        transaction.multi()  # type: ignore[no-untyped-call]
        transaction.psetex(begun, 40_000, b"1")
        with pytest.raises(WatchError):
            await transaction.execute()
    assert not await client.exists(begun)


@pytest.mark.parametrize("trace", ["in-progress", "retry"])
async def test_what_a_clock_has_begun_is_not_cancelled(
    pipeline: Pipeline, name: str, client: Redis, trace: str
) -> None:
    await pipeline.schedule(message(), after=0, id="a")
    await client.set(f"arq:{trace}:message:{name}:a", b"1")
    assert not await pipeline.unschedule("a")
    assert set(await waiting(client, name)) == {"a"}


# --- bad input --------------------------------------------------------------------------------------------------------


class OfNobody(Message, key="customer"):
    customer: str


class Other(Message):
    """With a number that JSON cannot hold."""

    model_config = ConfigDict(allow_inf_nan=True)
    number: float


Long = create_model("Long" * 220, __base__=Message)
"""A name that leaves room for a short id."""


NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "item,arguments,refusal",
    [
        (message(), {}, (ValueError, "exactly one of")),
        (message(), {"at": NOW, "after": 1}, (ValueError, "exactly one of")),
        (message(), {"at": NOW.replace(tzinfo=None)}, (ValueError, "time zone")),
        (message(), {"at": "tomorrow"}, (TypeError, "datetime")),
        (message(), {"at": datetime.max.replace(tzinfo=UTC)}, (ValueError, "ten years")),
        (message(), {"after": -1}, (ValueError, "ten years")),
        (message(), {"after": math.nan}, (ValueError, "ten years")),
        (message(), {"after": math.inf}, (ValueError, "ten years")),
        (message(), {"after": 1e9}, (ValueError, "ten years")),
        (message(), {"after": True}, (ValueError, "seconds")),
        (message(), {"after": "1"}, (ValueError, "seconds")),
        (message(), {"after": 1, "id": ""}, (ValueError, "an id is")),
        (message(), {"after": 1, "id": "a b"}, (ValueError, "an id is")),
        (message(), {"after": 1, "id": "a" * 101}, (ValueError, "an id is")),
        (message(), {"after": 1, "id": 7}, (ValueError, "an id is")),
        (7, {"after": 1}, (TypeError, "this queue takes Message")),
        (Other(number=math.nan), {"after": 1}, (ValueError, "come back the same")),
        (message().model_copy(update={"text": "x" * 1000}), {"after": 1}, (MessageTooLarge, "the queue takes 1000")),
        # What the clock could not put is refused here.
        (Long(), {"after": 1, "id": "x" * 100}, (ValueError, "shorten one of them")),
        (OfNobody(customer=""), {"after": 1}, (ValueError, "a key is a text of 1 to 1,000 characters")),
    ],
)
async def test_what_is_not_right_is_refused_before_anything_is_sent(
    pipeline: Pipeline, name: str, client: Redis, *, item: Any, arguments: Any, refusal: tuple[type[Exception], str]
) -> None:
    with pytest.raises(refusal[0], match=refusal[1]):
        await pipeline.schedule(item, **arguments)
    assert not await client.keys(f"*{name}*clock*")
    assert not await client.keys(f"arq:*{name}*")


@pytest.mark.parametrize("id_", ["", "a b", "a" * 101, None, "é"])
async def test_what_is_no_id_can_not_be_unscheduled(pipeline: Pipeline, id_: Any) -> None:
    with pytest.raises(ValueError, match="an id is"):
        await pipeline.unschedule(id_)


async def test_a_closed_pipeline_says_so(url: str, name: str) -> None:
    async with open_pipeline(settings(url, name)) as pipeline:
        pass
    with pytest.raises(ConcurrencyError, match="closed"):
        await pipeline.schedule(message(), after=1)
    with pytest.raises(ConcurrencyError, match="closed"):
        await pipeline.unschedule("a")


async def test_a_server_that_does_not_let_us_is_told(server: EmbeddedServer, url: str, name: str) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "reader", "on", ">p@ss", "~*", "+@read")
    for user in ("reader:wrong", "reader:p%40ss"):
        address = SecretStr(server.url.replace("unix://", f"unix://{user}@"))
        async with open_pipeline(settings(url, name, clock_url=address)) as pipeline:
            with pytest.raises(ServerRefused, match="does not let us"):
                await pipeline.schedule(message(), after=1)


async def test_a_key_of_somebody_else_is_told(pipeline: Pipeline, name: str, client: Redis) -> None:
    await client.set(clock_queue(name), "not a ZSET")
    with pytest.raises(ConcurrencyError, match="WRONGTYPE"):
        await pipeline.schedule(message(), after=1)


# --- what may break ---------------------------------------------------------------------------------------------------


async def test_cancelled_wherever_it_waits_it_is_there_once_or_not_at_all(
    pipeline: Pipeline, url: str, name: str, client: Redis
) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[str]:
        id_ = f"{mode}-{point}"
        # Opened anew, so that it is cancelled while it connects, too.
        async with open_pipeline(settings(url, name)) as mine:
            outcome = await cancelled_at(point, mode, mine.schedule(message(), after=HOUR, id=id_))
            assert outcome.error is None
            # Nobody knows; the same call again makes it sure, and what came late changes nothing.
            assert await mine.schedule(message(), after=HOUR, id=id_) == id_
        assert id_ in await waiting(client, name)
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)
    for id_ in await waiting(client, name):
        assert await pipeline.unschedule(id_)


async def test_unschedule_may_be_cancelled_wherever_it_waits(url: str, name: str, client: Redis) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[bool]:
        async with open_pipeline(settings(url, name)) as other:
            await other.schedule(message(), after=HOUR, id="a")
        async with open_pipeline(settings(url, name)) as mine:
            outcome = await cancelled_at(point, mode, mine.unschedule("a"))
            assert outcome.error is None
            assert outcome.value in (True, None)
            await mine.unschedule("a")
        assert await waiting(client, name) == {}
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_a_connection_that_breaks_at_any_command_changes_nothing(
    url: str, name: str, tmp_path: Path, client: Redis, fate: Fate
) -> None:
    async with Proxy(url, tmp_path) as proxy:
        nth, hit = 0, True
        while hit:
            nth += 1
            async with open_pipeline(settings(url, name, clock_url=SecretStr(proxy.url))) as mine:
                met = proxy.drop_nth(nth, fate, lambda _: True)
                assert await mine.schedule(message(), after=HOUR, id="a") == "a"
                assert set(await waiting(client, name)) == {"a"}
                hit = met.is_set()
            async with open_pipeline(settings(url, name, clock_url=SecretStr(proxy.url))) as mine:
                met = proxy.drop_nth(nth, fate, lambda _: True)
                assert await mine.unschedule("a")
                assert not await mine.unschedule("a")
                assert await waiting(client, name) == {}
                hit = hit or met.is_set()
        assert nth > 3


async def test_both_wait_out_an_outage_and_the_server_keeps_what_it_was_told(tmp_path: Path, url: str) -> None:
    with DurableServer(tmp_path / "server") as durable:
        async with (
            open_pipeline(settings(url, "outage", clock_url=SecretStr(durable.url))) as pipeline,
            Redis.from_url(durable.url) as client,
        ):
            await pipeline.schedule(message(), after=HOUR, id="before")
            await pipeline.schedule(message(), after=HOUR, id="cancelled")
            durable.kill()
            calls = (
                asyncio.create_task(pipeline.schedule(message(2), after=HOUR, id="meanwhile")),
                asyncio.create_task(pipeline.unschedule("cancelled")),
            )
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pipeline.schedule(message(), after=HOUR)
            assert not any(call.done() for call in calls)
            durable.start()
            async with asyncio.timeout(40):
                assert await calls[0] == "meanwhile"
                assert await calls[1]
            await kill_and_start(durable)
            with contextlib.suppress(ConnectionError):
                await client.ping()  # its connection is gone
            assert set(await waiting(client, "outage")) == {"before", "meanwhile"}
            assert await client.pttl("arq:job:message:outage:before") > 99 * 365 * 86_400_000


async def test_a_server_without_memory_is_waited_out(server: EmbeddedServer, url: str, name: str) -> None:
    async with (
        open_pipeline(settings(url, name, clock_url=SecretStr(server.url))) as pipeline,
        Redis.from_url(server.url) as client,
    ):
        await client.config_set("maxmemory", 1)
        call = asyncio.create_task(pipeline.schedule(message(), after=HOUR, id="a"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(call)
        assert await waiting(client, name) == {}
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(5):
            assert await call == "a"
        assert set(await waiting(client, name)) == {"a"}


# --- the address ------------------------------------------------------------------------------------------------------


def test_an_address_means_to_arq_what_it_means_to_us() -> None:
    # arq's own reading would take the password as it is written.
    told = redis_settings("rediss://user:p%40ss@[::1]:1/3?ssl_cert_reqs=none&health_check_interval=9")
    assert (told.username, told.password, told.host, told.port, told.database) == ("user", "p@ss", "::1", 1, 3)
    assert (told.ssl, told.ssl_cert_reqs) == (True, "none")
    told = redis_settings("unix:///a%20folder/server.sock?db=2")
    assert (told.unix_socket_path, told.database, told.ssl) == ("/a folder/server.sock", 2, False)
    told = redis_settings("redis://localhost")
    assert (told.host, told.port, told.database, told.password) == ("localhost", 6379, 0, None)


async def test_a_password_with_special_characters_opens_the_door(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "clock", "on", ">p@ s/s", "~*", "&*", "+@all")
    pool = await create_pool(redis_settings(server.url.replace("unix://", "unix://clock:p%40%20s%2Fs@")))
    assert await pool.acl_whoami() in (b"clock", "clock")  # redis-py 8 decodes it
    await pool.aclose(close_connection_pool=True)
