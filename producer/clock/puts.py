"""The puts of the clock's jobs, which may wait for room longer than a job may run."""

import asyncio
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

import structlog
from arq import Retry
from arq.constants import retry_key_prefix
from pydantic import JsonValue, RootModel, create_model
from redis.exceptions import RedisError

from shared.clock.deferred import KNOWN_FOR, message_id, put_id
from shared.concurrency import ConcurrencyError, Queue
from shared.concurrency.queues.encoding.codec import Codec, Unreadable
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.message import Message
from shared.pipeline import Pipeline

log = structlog.get_logger("clock")

JOB_TIMEOUT: Final = 30.0
"""Seconds that a job may take; ten seconds later another clock may take up what one that was killed had begun."""

# A put that has no room by then stays in line, and its job begins again.
_SLICE: Final = 20.0
_PAUSE: Final = 10.0


class Puts:
    """Puts for jobs; use it as an async context manager: what still waits at its end is withdrawn."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Prepare."""
        self._pipeline = pipeline
        largest = pipeline.settings.max_message_bytes
        self._codec: Codec[Message] = Codec(Message, largest)
        self._messages: Queue[Any] = self._queue(Message, largest)
        self._stored: dict[str, tuple[Queue[Any], type[RootModel[JsonValue]]]] = {}
        self._waiting: dict[str, asyncio.Task[bool]] = {}

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
        """Put a message once, however often its job is begun; waits while the queue is full.

        `id`: of the job, `context["job_id"]`; it is known for a week. When there is no room for 20 seconds, or the
        queue is shut down, the job ends with arq's Retry and is begun again; the put keeps its place in line meanwhile.
        So the job needs `max_tries`: arq gives up a cron job at its second try, unless it is told.

        :raises Retry: as said; let it pass. ValueError, TypeError, IdConflict, MessageTooLarge: as Queue.put.
        """
        await self._put(self._messages, message, id)

    async def put_stored(self, name: str, body: str, id_: str) -> None:
        """Put a message as it was stored, as `put` does.

        One that cannot be read is reported, and put all the same: a consumer makes it a dead letter, where it is kept.
        """
        queue, stored = self._stored.get(name) or self._store(name)
        message = stored.model_validate_json(body)
        try:
            self._codec.decode(name, body.encode())
        except Unreadable as error:
            log.error(  # noqa: TRY400  # no traceback
                "a deferred message cannot be read: it becomes a dead letter", id=id_, type=name, problem=str(error)
            )
        await self._put(queue, message, id_)

    def _store(self, name: str) -> tuple[Queue[Any], type[RootModel[JsonValue]]]:
        # A class of that name which takes any body: it travels as if the class itself had been put.
        stored = cast("type[RootModel[JsonValue]]", create_model(name, __base__=RootModel[JsonValue]))
        self._stored[name] = self._queue(stored, LARGEST_MESSAGE), stored
        return self._stored[name]

    def _queue(self, kind: type[Any], largest: int) -> Queue[Any]:
        session, name = self._pipeline.session, self._pipeline.settings.queue
        # A clock that was killed between the put and the end of its job puts again under the same id when it comes
        # back.
        return Queue(session, name, kind, max_message_bytes=largest, known_for=KNOWN_FOR)

    async def _put(self, queue: Queue[Any], message: object, id_: str) -> None:
        put = self._waiting.get(id_)
        if put is None:
            put = self._waiting[id_] = asyncio.create_task(queue.put(message, id=id_), name="weir-put-of-a-job")
            put.add_done_callback(partial(self._ended, id_))
        await asyncio.wait({put}, timeout=_SLICE)
        if not put.done():
            raise Retry
        try:
            put.result()
        except (ValueError, TypeError):
            raise  # the message is not right, and will not be
        except ConcurrencyError as error:
            log.warning("a put of the clock waits", id=id_, problem=str(error), again_in_seconds=_PAUSE)
            raise Retry(defer=_PAUSE) from error

    def _ended(self, id_: str, put: "asyncio.Task[bool]") -> None:
        del self._waiting[id_]
        if not put.cancelled():
            put.exception()  # the job may be between two of its tries: the next one hears it from the queue


async def put_message(context: dict[str, Any], name: str, body: str) -> None:
    """Put a message that Pipeline.schedule deferred: this is its job."""
    puts: Puts = context["puts"]
    job: str = context["job_id"]
    try:
        # By arq's count of the tries `unschedule` sees that it has begun; arq would forget the count after a day.
        await context["redis"].persist(retry_key_prefix + job)
    except RedisError as error:
        raise Retry from error
    # Not the id alone: it may be used again when arq has forgotten it, and the queue remembers for longer.
    scheduled_at: datetime = context["enqueue_time"]
    await puts.put_stored(name, body, put_id(message_id(job), round(scheduled_at.timestamp() * 1000)))
