"""The puts of the clock's jobs, which can wait for room longer than a job may run."""

import asyncio
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

from arq import Retry
from arq.constants import retry_key_prefix
from pydantic import JsonValue, RootModel, create_model
from redis.exceptions import RedisError

from shared.clock.deferred import KNOWN_FOR, message_id, put_id
from shared.concurrency import ConcurrencyError, MessageCancelled, Queue
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.unreadable import Unreadable, Unsupported
from shared.concurrency.queues.encoding.versions import Versions
from shared.concurrency.session.futures import retrieve
from shared.logs import Log
from shared.message import Message
from shared.pipeline import Pipeline
from shared.queue_settings import split_name

log = Log("clock")

JOB_TIMEOUT: Final = 30.0
"""Seconds that a job may take. Ten seconds later another clock can repeat the job of a clock that was killed."""

# A put that has no room by then keeps its place among the waiting puts, and its job begins again.
_SLICE: Final = 20.0
_PAUSE: Final = 10.0


class Puts:
    """Puts for jobs. Use it as an async context manager: puts that still wait at its end are withdrawn."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Prepare."""
        self._pipeline = pipeline
        largest = pipeline.settings.max_message_bytes
        self._codec: Codec[Message] = Codec(Message, largest)
        self._messages: Queue[Any] = self._queue(Message, largest)
        self._stored: dict[tuple[str, int], tuple[Queue[Any], type[RootModel[JsonValue]]]] = {}
        self._waiting: dict[str, asyncio.Task[bool]] = {}
        self.is_ending = False
        """Whether the worker ends: its service sets it before it cancels the jobs."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for put in self._waiting.values():
            put.cancel()
        if self._waiting:
            await asyncio.wait(list(self._waiting.values()))

    async def put(self, message: Message, *, id: str) -> None:  # noqa: A002  # as Queue.put
        """Put a message once, however often its job is begun; wait while the queue is full.

        `id`: of the job, `context["job_id"]`; it is known for a week. When there is no room for 20 seconds, or the
        queue is shut down, the job ends with arq's Retry and is begun again; meanwhile the put keeps its place among
        the waiting puts. So the job needs `max_tries`: by default arq fails a cron job at its second try.

        :raises Retry: in these cases; let it pass. ValueError, TypeError, IdConflict, MessageTooLarge: as Queue.put.
        """
        await self._put(self._messages, message, id)

    async def put_stored(self, name: str, body: str, version: int, id_: str, asked: dict[str, Any]) -> None:
        """Put a message in its stored form, as `put` does; its class may be one that this clock does not have.

        `asked`: what it asks of its way, the keyword arguments of Queue.put.

        A message that cannot be read is logged, and put all the same: a consumer makes it a dead letter, which is kept.
        """
        queue, stored = self._stored.get((name, version)) or self._store(name, version)
        message = stored.model_validate_json(body)
        await self._put(queue, message, id_, asked)
        try:
            self._codec.decode(name, body.encode(), version)
        except Unsupported as error:
            log.warning("a deferred message cannot be read here: a consumer may", id=id_, type=name, problem=str(error))
        except Unreadable as error:
            log.error(  # noqa: TRY400  # no traceback
                "a deferred message cannot be read: it becomes a dead letter", id=id_, type=name, problem=str(error)
            )

    def _store(self, name: str, version: int) -> tuple[Queue[Any], type[RootModel[JsonValue]]]:
        # A class of that name that takes any body: the message is stored as if its own class had been put.
        versions = Versions(version)
        base = type("Stored", (RootModel[JsonValue],), {"stored_versions": classmethod(lambda _: versions)})
        stored = cast("type[RootModel[JsonValue]]", create_model(name, __base__=base))
        self._stored[name, version] = self._queue(stored, LARGEST_MESSAGE), stored
        return self._stored[name, version]

    def _queue(self, kind: type[Any], largest: int) -> Queue[Any]:
        session, (name, group) = self._pipeline.session, split_name(self._pipeline.settings.queue)
        # A clock that was killed between the put and the end of the job puts again under the same id when it is back.
        return Queue(session, name, kind, group=group, max_message_bytes=largest, known_for=KNOWN_FOR)

    async def _put(self, queue: Queue[Any], message: object, id_: str, asked: dict[str, Any] | None = None) -> None:
        put = self._waiting.get(id_)
        if put is None:
            put = self._waiting[id_] = asyncio.create_task(
                queue.put(message, id=id_, **(asked or {})), name="weir-put-of-a-job"
            )
            put.add_done_callback(partial(self._ended, id_))
        await asyncio.wait({put}, timeout=_SLICE)
        if not put.done():
            raise Retry
        try:
            put.result()
        except (ValueError, TypeError):
            raise  # the message is not right, and will not be
        except MessageCancelled:
            log.info("the message was cancelled while its put waited for room", id=id_)
        except ConcurrencyError as error:
            log.warning("a put of the clock waits", id=id_, problem=str(error), again_in_seconds=_PAUSE)
            raise Retry(defer=_PAUSE) from error

    def _ended(self, id_: str, put: "asyncio.Task[bool]") -> None:
        del self._waiting[id_]
        if not put.cancelled():
            put.exception()  # retrieved, for the job may be between two tries: the next try gets it from the queue


async def put_message(
    context: dict[str, Any], name: str, body: str, version: int = 1, asked: dict[str, Any] | None = None
) -> None:
    """Put a message that Pipeline.schedule deferred: this is its job. `asked`: of its way."""
    puts: Puts = context["puts"]
    try:
        await _put_message(context, name, body, version, asked or {})
    except asyncio.CancelledError:
        if puts.is_ending:
            raise
        # This process was stopped for longer than a job may take: arq would have the job fail, and its message is
        # nowhere else. Where arq itself was cancelled it does not look at the error.
        cast("asyncio.Task[None]", asyncio.current_task()).add_done_callback(retrieve)
        raise Retry from None


async def _put_message(context: dict[str, Any], name: str, body: str, version: int, asked: dict[str, Any]) -> None:
    puts: Puts = context["puts"]
    job: str = context["job_id"]
    try:
        # From arq's count of the tries `unschedule` knows that the job has begun; arq would forget it after a day.
        await context["redis"].persist(retry_key_prefix + job)
    except RedisError as error:
        raise Retry from error
    # Not the id alone: it can be used again when arq has forgotten it, and the queue remembers for longer.
    scheduled_at: datetime = context["enqueue_time"]
    id_ = put_id(message_id(job), round(scheduled_at.timestamp() * 1000))
    await puts.put_stored(name, body, version, id_, asked)
