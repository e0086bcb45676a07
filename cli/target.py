"""What a command works on: one server, and its queues and leases."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from monitor.link import open_link
from monitor.watch import Watch, open_watch
from shared.concurrency import Queue, QueueStatistics, Session
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.queues.statistics import read_statistics
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client
from shared.concurrency.session.calls import Call
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import process_of
from shared.environment import resolve_redis_url
from shared.logs import configure_logs
from shared.message import Message
from shared.patience import PATIENCE, report_that_it_waits
from shared.settings import Settings

_LEASE = re.compile(rb"\{([A-Za-z0-9_.-]{1,64}|~[0-9a-f]{24})\}:lease:\w+")
_SETTINGS = re.compile(rb"\{([A-Za-z0-9_.-]{1,64})\}(/[A-Za-z0-9_.-]{1,64})?:settings")


class TargetError(Exception):
    """There is nothing that the command can work on; the message says what to change."""


@dataclass(frozen=True)
class Server:
    """An open session at the server, and a plain client for reading keys."""

    settings: Settings
    session: Session
    client: "redis.asyncio.Redis"

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        """Return what reads the state of all queues and leases."""
        async with open_link(resolve_redis_url(self.settings)) as link, open_watch(link) as watch:
            yield watch

    async def queues(self) -> list[str]:
        """Return the names of the queues at this server, sorted, GROUP/NAME in a group.

        A queue exists once a service has used it.
        """
        try:
            keys = [key async for key in self.client.scan_iter(b"{*}*:settings", count=1000)]
        except RedisError as error:
            raise TargetError(f"the server does not let us list the queues: {error}") from error
        found = (match for key in keys if (match := _SETTINGS.fullmatch(key)))
        return sorted({(match[1] + (match[2] or b"")).decode() for match in found})

    async def statistics(self, name: str) -> QueueStatistics:
        """Return the statistics of a queue without taking part in it."""
        return read_statistics(await process_of(self.session).call(Call(load("statistics"), queue_keys(name))))

    async def leases(self) -> list[str]:
        """Return the names of the leases that somebody holds or waits for, or did a moment ago, sorted."""
        try:
            found = set()
            for word in (b"holders", b"waiting"):
                keys = self.client.scan_iter(b"{*}:lease:" + word, count=1000)
                found |= {match[1] async for key in keys if (match := _LEASE.fullmatch(key))}
            return sorted([await self._called(stored) for stored in found])
        except RedisError as error:
            raise TargetError(f"the server does not let us list the leases: {error}") from error

    async def _called(self, stored: bytes) -> str:
        """The name of a lease whose keys may have a digest of it."""
        if not stored.startswith(b"~"):
            return stored.decode()
        reading: Any = self.client.hget((b"{%b}:lease" % stored).decode(), "name")
        name: bytes | None = await reading
        return (name or stored).decode(errors="replace")

    def lease(self, name: str) -> LeaseParticipant:
        """Return what shows and ends the holds of a lease, without taking part in it.

        Raises TargetError when it is no name.
        """
        try:
            return process_of(self.session).part(LeaseParticipant, StoredName.of(name))
        except ValueError as error:
            raise TargetError(str(error)) from error

    async def queue(self, name: str | None) -> Queue[Message]:
        """Return a queue that exists, with the bound and the attempts that are stored with it.

        `name`: GROUP/NAME in a group; without it, PIPELINE_QUEUE. Raises TargetError when there is no such queue; none
        is created.
        """
        chosen = name or self.settings.queue
        try:
            group, slash, alone = chosen.rpartition("/")
            queue = Queue(self.session, alone, Message, group=group if slash else None)
            there = await self.client.exists(queue_keys(chosen)["settings"])
        except ValueError as error:
            raise TargetError(f"--queue: {error}") from error
        except RedisError as error:
            raise TargetError(f"the server does not let us find the queue {chosen}: {error}") from error
        if not there:
            raise TargetError(
                f"there is no queue {chosen} at this server (a queue exists once a service has used it); "
                "see `./run pipeline queue list`, and --queue or PIPELINE_QUEUE"
            )
        return queue


@asynccontextmanager
async def open_server() -> AsyncIterator[Server]:
    """Open the server of REDIS_URL, or the one whose address `./run server` has left.

    Raises SettingsError, ServerUnavailable, ServerRefused, each with a line that says what to do.
    """
    settings = Settings.load()
    configure_logs(settings)
    # A command reports what is wrong itself, in one line.
    logging.getLogger("weir").setLevel(logging.ERROR)
    report_that_it_waits("pipeline")
    url = resolve_redis_url(settings)
    async with (
        Session.open(
            url, ttl=settings.session_ttl, connect_timeout=PATIENCE, refusal_grace=settings.refusal_grace
        ) as session,
        client(read_address(url), socket_timeout=10.0) as plain,
    ):
        yield Server(settings, session, plain)
