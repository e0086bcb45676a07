"""The composition root: opens what a service works with."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

import shared.messages  # noqa: F401  # registers the message classes
from shared.clock.deferred import Deferred, may_be_deferred
from shared.clock.in_one_slot import clock_client
from shared.concurrency import Cancellation, Priority, Queue, Session
from shared.concurrency.checks import check_seconds
from shared.concurrency.queues.encoding.flow import way_asked
from shared.concurrency.queues.encoding.outgoing import check_id
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.session import process_of
from shared.connections import OF_A_SESSION, is_passing
from shared.environment import resolve_clock_url, resolve_redis_url
from shared.logs import Log
from shared.message import Message
from shared.password_file import clock_password_of, password_of
from shared.pool import data_client, is_cluster
from shared.queues import Queues
from shared.resources import Resources, open_resources
from shared.settings import Settings
from shared.upgrades import check_upgrades

_LONGEST_WAIT: Final = 366 * 86400.0
_BEGUN_AGAIN: Final = 0.1
"""Seconds until a put of the clock that has begun, and did not reach the queue yet, is looked for again."""


@dataclass(frozen=True)
class Pipeline:
    """What a handler or a source may use."""

    settings: Settings
    session: Session
    queue: Queue[Message]
    """That of PIPELINE_QUEUE."""
    queues: Queues
    """All queues, by name: `pipeline.queues["mail"]`."""
    redis: "redis.asyncio.Redis"
    """For data of your own; bytes in and out. A command waits while all connections of this service are in use.

    On a Cluster it is redis-py's RedisCluster: the same commands, the keys of each in one slot.
    """
    _deferred: Deferred
    """What `schedule` and `unschedule` talk to."""
    _opened: Resources | None = None
    """The resources, where this process has opened them."""

    @property
    def resources(self) -> Resources:
        """What shared/resources.py has opened for the handlers.

        :raises RuntimeError: in a process that has not opened them: a producer, or a clock whose schedule does not use
            them.
        """
        if self._opened is None:
            raise RuntimeError("this process has no resources: open_pipeline(settings, resources=True) opens them")
        return self._opened

    @property
    def owner(self) -> str:
        """The twelve letters that this process is called at the server."""
        return process_of(self.session).owner

    async def schedule(
        self,
        message: Message,
        *,
        at: datetime | None = None,
        after: float | None = None,
        id: str | None = None,  # noqa: A002  # as Queue.put
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> str:
        """Have a message put at a time, by the clock; returns its id. Waits for the clock's server only, not for room.

        `at`: a datetime with a time zone, ten years ahead at most; one that has passed is due at once. `after`: in
        seconds. Exactly one of them. A clock must run then: it puts the message within a second of its time, or waits
        for room as `Queue.put` does; a message that is overdue is put once a clock runs. It never expires. `id`: 1 to
        100 printable ASCII characters; names the message until an hour after it was put. Scheduled again under it
        meanwhile, it is one message, at the time that was given first. Consumers see it as `delivery.id`, followed by @
        and a number. `key`, `share`, `priority` and `limit`: as Queue.put; the clock puts it with what is said here and
        what the class declares here.

        Waits out an outage of the server: bound it with asyncio.timeout. One that was cancelled may be scheduled or
        not: repeating it with the same `id` is safe, and `unschedule` takes it back.

        :raises ValueError: when the time, the id or the message is not right; nothing was sent. TypeError for another
            type.
        :raises MessageTooLarge: when the encoded message is larger than `max_message_bytes`; nothing was sent.
        :raises IdConflict: when the id is known with another message.
        :raises ServerRefused: when the server does not let us. ConcurrencyError: when the pipeline is closed.
        """
        process_of(self.session).check_open()
        way = way_asked(priority, share, key, limit)
        return await self._deferred.schedule(message, at, after, id, way)

    async def unschedule(self, id: str) -> bool:  # noqa: A002
        """Cancel a message that `schedule` deferred; whether it is cancelled by this call, and so will never be put.

        False: the id is unknown or forgotten, or a clock has already started to put the message (even if it still waits
        for room). A message that is overdue and that no clock has started to put is cancelled. Waits out an outage, as
        `schedule`.

        :raises ValueError: when it is no id. ServerRefused, ConcurrencyError: as `schedule`.
        """
        process_of(self.session).check_open()
        return await self._deferred.unschedule(id)

    async def cancel(self, id: str, *, timeout: float = 5.0) -> Cancellation:  # noqa: A002, ASYNC109  # as Queue.cancel
        """Cancel a message, whether `schedule` deferred it or it was put; returns what became of it.

        `unschedule` first: REMOVED where that did it. Else as `queue.cancel`, also for a message that a clock has put
        meanwhile, under the `id` of `schedule`: up to an hour after that, later under its `delivery.id`.

        :raises ValueError, ServerRefused, ConcurrencyError: as `unschedule` and Queue.cancel.
        """
        loop = asyncio.get_running_loop()
        check_id(id)
        until = loop.time() + check_seconds("timeout", timeout, 0, _LONGEST_WAIT)
        while True:
            if may_be_deferred(id) and await self.unschedule(id):
                return Cancellation.REMOVED
            begun = await self._deferred.begun(id) if may_be_deferred(id) else None
            outcome = await self.queue.cancel(id, timeout=max(0.0, until - loop.time()))
            if outcome is Cancellation.UNKNOWN and begun is not None:
                outcome = await self.queue.cancel(begun[0], timeout=max(0.0, until - loop.time()))
            if outcome is not Cancellation.UNKNOWN or begun is None or not begun[1] or loop.time() > until:
                return outcome
            await asyncio.sleep(_BEGUN_AGAIN)  # a clock is about to put it


def whereabouts(pipeline: Pipeline) -> dict[str, str | int]:
    """Which process this is, as a service logs it when it starts: owner, host and process id."""
    return {"owner": pipeline.owner, "host": socket.gethostname(), "pid": os.getpid()}


def deferred_of(pipeline: Pipeline) -> Deferred:
    """What a pipeline's `schedule` talks to, for the clock."""
    return pipeline._deferred  # noqa: SLF001  # handlers need none of it


@asynccontextmanager
async def open_pipeline(settings: Settings, *, resources: bool = False) -> AsyncIterator[Pipeline]:
    """Open the session, the queue and a client for data; close them at the end of the block.

    `resources`: open those of shared/resources.py too, as the consumers do. They are closed first, while the session
    and the client are still there. The producer leaves them out, and so does the clock unless its schedule uses them.
    They are opened again when a command of redis-py fails that may work later: the server is away, or refuses for now.

    :raises UpgradeMissing: when an older version of a message class cannot be upgraded.
    :raises SettingsError: when no server is given. ServerUnavailable, ServerRefused: as Session.open.
    """
    check_upgrades()
    url, clock_url = resolve_redis_url(settings), resolve_clock_url(settings)
    most, silence, grace = settings.max_connections, max(1.0, settings.session_ttl), settings.refusal_grace
    password = password_of(settings)
    client = data_client(url, most - OF_A_SESSION, silence, credentials=password, grace=grace)
    clock = client
    if clock_url != url or is_cluster(url):  # whose client may send one command to several nodes
        clock_password = password if clock_url == url else clock_password_of(settings)
        clock = clock_client(clock_url, settings.queue, most, silence, credentials=clock_password, grace=grace)
    async with (
        AsyncExitStack() as pools,
        Session.open(
            url,
            ttl=settings.session_ttl,
            refusal_grace=grace,
            replicas=settings.replicas,
            credentials=password,
        ) as session,
        AsyncExitStack() as stack,
    ):
        for each in (client, clock):
            pools.push_async_callback(each.aclose)
        deferred = Deferred(clock, settings.queue, settings.max_message_bytes)
        queues = Queues(session, settings)
        opened = await _open_resources(stack, settings, session, client) if resources else None
        yield Pipeline(settings, session, queues[settings.queue], queues, client, deferred, opened)


async def _open_resources(
    stack: AsyncExitStack, settings: Settings, session: Session, client: "redis.asyncio.Redis"
) -> Resources:
    """Open them; again and again while a server is away or refuses for now."""
    outage = Outage(Log("pipeline"), "the resources cannot be opened yet", "the resources are open")
    pause = 0.02
    while True:
        try:
            opened = await stack.enter_async_context(open_resources(settings, session, client))
        except RedisError as error:
            if not is_passing(error):
                raise
            outage.goes_on(str(error))
        else:
            outage.is_over()
            return opened
        await asyncio.sleep(pause)
        pause = min(1.0, pause * 2)
