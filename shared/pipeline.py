"""The composition root: opens what a service works with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio

from shared.concurrency import Queue, Session
from shared.messages import Message
from shared.settings import Settings, resolve_redis_url


@dataclass(frozen=True)
class Pipeline:
    """What a handler or a source may use."""

    settings: Settings
    session: Session
    queue: Queue[Message]
    redis: "redis.asyncio.Redis"
    """For data of your own; bytes in and out."""


@asynccontextmanager
async def open_pipeline(settings: Settings) -> AsyncIterator[Pipeline]:
    """Open the session, the queue and a client for data; close them at the end of the block.

    :raises SettingsError: when no server is given. ServerUnavailable, ServerRefused: as Session.open.
    """
    url = resolve_redis_url(settings)
    # Without a timeout of its own: with one, redis-py can swallow the cancellation of a handler.
    data = redis.asyncio.Redis.from_url(url, socket_timeout=None)
    async with Session.open(url, ttl=settings.session_ttl) as session, data as client:
        queue: Queue[Message] = Queue(
            session,
            settings.queue,
            Message,
            maxsize=settings.maxsize,
            max_attempts=settings.max_attempts,
            max_message_bytes=settings.max_message_bytes,
        )
        yield Pipeline(settings, session, queue, client)
