"""YOURS: what handlers and jobs of the schedule work with: pools, clients, models. Opened once in each process."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio

from shared.concurrency import ReadersWritersLease, Session
from shared.demo.lease_waits import Waits
from shared.demo.stop_words import StopWords
from shared.settings import Settings


@dataclass(frozen=True)
class Resources:
    """What is open: `pipeline.resources`."""

    stop_words: StopWords


@asynccontextmanager
async def open_resources(
    settings: Settings, session: Session, client: "redis.asyncio.Redis"
) -> AsyncIterator[Resources]:
    """Open the resources before the first message; close them once a drain has ended, before the session ends.

    The consumers call it. The clock calls it if its schedule says `uses_resources`, the producer if its source does.
    """
    waits = Waits(client, settings.queue, settings.run, secrets.token_hex(6))
    stop_words = StopWords(client, ReadersWritersLease(session, settings.queue), settings.queue, waits)
    await stop_words.begin()
    yield Resources(stop_words)
