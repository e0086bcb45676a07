"""Deferred messages: jobs of the clock that put a message when its time has come.

They are arq's jobs, in arq's keys. One script here writes them, not arq's enqueue_job: that takes four round trips, and
its answer is the same for a lost connection and for a known id, so a caller could not know whether the message is
there.
"""

import asyncio
import hashlib
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from shared.clock.jobs import JOB_KEY, RESULT_KEY, RUNNING_KEY, TRIES_KEY, clock_queue, decode, new_job
from shared.concurrency import ConcurrencyError, IdConflict, ServerRefused
from shared.concurrency.queues.encoding.codec import Codec, digest
from shared.concurrency.queues.encoding.flow import Way, pack_flow
from shared.concurrency.queues.encoding.outgoing import with_id
from shared.logs import Log
from shared.message import Message

T = TypeVar("T")
log = Log("clock")

PUT_MESSAGE: Final = "put_message"
"""The name that arq has for the function that puts a deferred message; its arguments: class, body, version over 1."""

KNOWN_FOR: Final = 7 * 86_400.0
"""Seconds for which the queue knows the id of a message that the clock put."""

NEVER_MS: Final = 100 * 366 * 86_400_000
"""How long a job is kept: arq would drop one that no clock has begun within a day after its time."""

_ID: Final = re.compile(r"[\x21-\x7e]{1,100}", re.ASCII)
_LONGEST: Final = 10 * 366 * 86_400.0
_PATIENCE: Final = 10.0
_MARK_MS: Final = 86_400_000
_REFUSALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
# Wrong passwords arrive as lost connections.
_NO_ENTRY: Final = re.compile(r"NOAUTH|WRONGPASS|invalid username-password")
# Answers that mean: not executed, repeat later.
_LATER: Final = ("BUSY", "MISCONF", "NOREPLICAS")
# A script is unknown where it was flushed, or another run of the server began, since it was loaded.
_LATER_TYPES: Final = (OutOfMemoryError, ReadOnlyError, ClusterDownError, NoScriptError)

# KEYS: job STRING, result STRING, queue ZSET. ARGV: arq's id of the job, the job, when it is due and how long it is
# kept, in ms. RETURNS nil once the job is there, or what is known under this id: the job or its result.
SCHEDULE: Final = """
local known = redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[2])
if known then return known end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
return nil
"""

# KEYS: queue ZSET, job STRING, in progress STRING, attempts STRING, mark STRING. ARGV: arq's id of the job, the name of
# this call, how long it is remembered in ms. RETURNS 1 when this call has cancelled the job; 0 when a clock has begun
# it, or there is none. A clock that has just read `in progress` watches it: touching it ends that clock's attempt.
UNSCHEDULE: Final = """
if redis.call('GET', KEYS[5]) == ARGV[2] then return 1 end
if redis.call('EXISTS', KEYS[3], KEYS[4]) > 0 or not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('SET', KEYS[5], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
"""


class Deferred:
    """The deferred messages of one pipeline. No connection is opened before the first call."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, max_message_bytes: int) -> None:
        """`client`: of the clock's server; whoever made it closes it. `queue`: the pipeline's queue."""
        self._client: Any = client
        self._codec: Codec[Message] = Codec(Message, max_message_bytes)
        self._queue = queue

    async def schedule(
        self, message: Message, at: datetime | None, after: float | None, id_: str | None, way: Way | None = None
    ) -> str:
        """See Pipeline.schedule."""
        due = _due(at, after)
        if id_ is None:
            id_ = token_hex(11)
        job = job_id(self._queue, _checked(id_))
        shape, body = self._codec.encode(message)
        # Of the first version as ever.
        version = shape.versions.number
        # The clock need not have the class: what that declares of the way travels along.
        way = way if shape.way is None else shape.way.of(message, way)
        asked = {} if way is None else way.given()
        more: list[Any] = [version, asked] if asked else [version] if version > 1 else []
        arguments = [shape.name, body.decode(), *more]
        # As the clock will put it: a message whose headers have no room, or whose way is none, is refused here.
        flow = pack_flow(Way(**asked))
        with_id(shape.headers, put_id(id_, _ms(due)), digest(shape.name, body), round(KNOWN_FOR * 1000), flow=flow)
        keys = (JOB_KEY + job, RESULT_KEY + job, clock_queue(self._queue))
        text = new_job(PUT_MESSAGE, arguments, _ms(datetime.now(UTC)))
        known = await self._call(SCHEDULE, keys, job, text, _ms(due), NEVER_MS)
        if known is not None and not _is_put_of(known, arguments):
            raise IdConflict(
                f"the id {id_} is known with another message: unschedule it first, or use a new id for a new message"
            )
        if known is None:
            log.debug("a message is deferred", queue=self._queue, id=id_, type=shape.name, until=due.isoformat())
        return id_

    async def unschedule(self, id_: str) -> bool:
        """See Pipeline.unschedule."""
        job = job_id(self._queue, _checked(id_))
        queue = clock_queue(self._queue)
        keys = (
            queue, JOB_KEY + job, RUNNING_KEY + job, TRIES_KEY + job, f"{queue}:unscheduled:{id_}",
        )  # fmt: skip
        # Named, so that a repetition after a lost answer still returns that this call has cancelled.
        return bool(await self._call(UNSCHEDULE, keys, job, token_hex(8), _MARK_MS))

    async def begun(self, id_: str) -> tuple[str, bool] | None:
        """The id under which a clock puts the message, or has put it, and whether its job is not done yet.

        None where no job of this id is known: never scheduled, or done for an hour.
        """
        job = job_id(self._queue, _checked(id_))
        # In this order: the result comes in the step that ends the job.
        stored = await _through_outages(lambda: self._client.get(JOB_KEY + job))
        result = stored or await _through_outages(lambda: self._client.get(RESULT_KEY + job))
        try:
            return put_id(id_, int(decode(result)["et"])), stored is not None
        except (ValueError, LookupError, TypeError):
            return None

    @property
    def pool(self) -> "redis.asyncio.ConnectionPool":
        """The connections to the clock's server."""
        pool: redis.asyncio.ConnectionPool = self._client.connection_pool
        return pool

    async def _call(self, script: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:
        async def call() -> Any:
            try:
                return await self._client.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:
                await self._client.script_load(script)
                return await self._client.evalsha(sha, len(keys), *keys, *arguments)

        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        return await _through_outages(call)


def job_id(queue: str, id_: str) -> str:
    """Return arq's id of the job; all pipelines on a server share arq's keys."""
    return f"message:{queue}:{id_}"


def put_id(id_: str, scheduled_ms: int) -> str:
    """Return the id under which the clock puts the message.

    Not the id of `schedule` alone: it can be used again once arq has forgotten it, and the queue remembers for longer.
    """
    return f"{id_}@{scheduled_ms}"


def message_id(job: str) -> str:
    """Return the `id=` of Pipeline.schedule."""
    return job.split(":", 2)[2]


async def _through_outages(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the server answers. The calls here have one effect, however often they arrive."""
    pause = 0.02
    while True:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await call()
        except (LostConnection, LateAnswer, OSError, NoPermissionError) as error:
            problem = str(error)
            if isinstance(error, _REFUSALS) or _NO_ENTRY.search(problem):
                raise ServerRefused(f"the clock's server does not let us: {problem}. See its user and rules") from error
        except ResponseError as error:
            if not isinstance(error, _LATER_TYPES) and not str(error).startswith(_LATER):
                raise ConcurrencyError(f"the clock's server cannot be used as it is: {error}") from error
            problem = str(error)
        if pause == 0.32:
            log.warning("the clock's server is not available; waiting", problem=problem)
        await asyncio.sleep(pause)
        pause = min(1.0, pause * 2)


def _due(at: datetime | None, after: float | None) -> datetime:
    now = datetime.now(UTC)
    if (at is None) == (after is None):
        raise ValueError("write exactly one of at= and after=")
    if at is not None:
        if not isinstance(at, datetime):
            raise TypeError(f"at= is a datetime, not {type(at).__name__}")
        if at.utcoffset() is None:
            raise ValueError(f"at= needs a time zone, as in datetime.now(UTC), not {at!r}")
        # A time in the past means now.
        due = max(at, now)
    else:
        if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after <= _LONGEST:
            raise ValueError(f"after= is between 0 and {_LONGEST:.0f} seconds (ten years), not {after!r}")
        due = now + timedelta(seconds=after)
    if due - now > timedelta(seconds=_LONGEST):
        raise ValueError(f"at= is at most ten years ahead, not {at}")
    return due


def may_be_deferred(id_: str) -> bool:
    """Whether `schedule` takes it as an id."""
    return isinstance(id_, str) and _ID.fullmatch(id_) is not None


def _checked(id_: str) -> str:
    if not may_be_deferred(id_):
        raise ValueError(f"an id is 1 to 100 printable ASCII characters without spaces, not {id_!r:.200}")
    return id_


def _ms(time: datetime) -> int:
    return math.ceil(time.timestamp() * 1000)


def _is_put_of(stored: bytes, arguments: list[Any]) -> bool:
    try:
        job = decode(stored)
        return bool(job["f"] == PUT_MESSAGE and job["a"] == arguments)
    except (ValueError, LookupError, TypeError):
        return False
