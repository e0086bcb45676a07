"""The composition root: opens what a service works with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio

from shared.concurrency import Queue, ReadersWritersLease, Session
from shared.messages import Message
from shared.settings import Settings, resolve_redis_url
from shared.stop_words import StopWords
from shared.waits import Waits


@dataclass(frozen=True)
class Pipeline:
    """What a handler or a source may use."""

    settings: Settings
    session: Session
    queue: Queue[Message]
    catalog: ReadersWritersLease
    """What guards the stop words."""
    stop_words: StopWords
    redis: "redis.asyncio.Redis"
    """For data of your own; bytes in and out."""


@asynccontextmanager
async def open_pipeline(settings: Settings) -> AsyncIterator[Pipeline]:
    """Open the session, the queue, the lease and a client for data; close them at the end of the block.

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
        catalog = ReadersWritersLease(session, settings.queue)
        waits = Waits(client, settings.queue, settings.run, session.owner)
        stop_words = StopWords(client, catalog, settings.queue, waits)
        yield Pipeline(settings, session, queue, catalog, stop_words, client)
