"""SentinelAddress: of several servers with the same data one leads, and sentinels know which.

They are asked in turn, each a moment after the one before, and whoever answered last is asked first the next time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio.connection
import redis.connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError
from redis.retry import Retry as BlockingRetry

from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.grammar import ListedAddress
from shared.concurrency.session.address.hearing import Hearing, Leaving, Service, service_of
from shared.concurrency.session.address.opinion import QUESTIONS, Opinion, opinion
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.tasks import end, whole

_PATIENCE: Final = 1.0
"""Seconds for which one sentinel is waited for."""
_NEXT_AFTER: Final = 0.1
"""Seconds after which the next one is asked beside it."""
_ASKED_AGAIN: Final = 10.0
"""Seconds after which a sentinel that has said nothing is asked again who leads."""
_ASKED_IN_DOUBT: Final = 0.2
"""The same while the server that leads is down, or another one is about to lead."""
_KNOWN_FOR: Final = 15.0
"""Seconds for which an answer is good enough for a connection that works."""
_CHANNELS: Final = ("+switch-master", "+promoted-slave", "+try-failover", "+sdown", "+odown")
_LOST: Final = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True)
class SentinelAddress:
    """Servers of which one leads at a time."""

    shown: str
    kind: Kind
    options: Mapping[str, Any]
    name: str
    """What the sentinels call them."""
    sentinel_options: Mapping[str, Any] = field(repr=False)
    """redis-py's, for connections to sentinels."""
    service: Service = field(repr=False)

    leads_to_primary = True

    @classmethod
    def of(cls, listed: ListedAddress, usual: Mapping[str, Any]) -> "SentinelAddress":
        """The address of a list; `usual`: the options of any connection with its scheme."""
        options = {**usual, **listed.options}
        shared = {word: value for word, value in options.items() if word.startswith(("ssl_", "socket_keepalive"))}
        service = service_of(listed.hosts, listed.service)
        kind: Kind = "tls" if listed.is_encrypted else "tcp"
        sentinel_options = {**shared, **listed.sentinel_login, "protocol": 2}  # `opinion` reads its lists
        return cls(listed.shown, kind, options, listed.service, sentinel_options, service)

    async def locate(self) -> Endpoint:
        """Who leads now.

        :raises redis.exceptions.ConnectionError: when no sentinel knows.
        """
        left = list(self.service.hosts)
        asked: dict[asyncio.Task[Opinion], Endpoint] = {}
        hearing = Hearing(self.service)
        try:
            while left or asked:
                if left:
                    host = left.pop(0)
                    asked[asyncio.create_task(self._heard(host), name="weir-sentinel")] = host
                done, _ = await asyncio.wait(
                    asked, timeout=_NEXT_AFTER if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if (leader := hearing.leader(asked.pop(task), task.result())) is not None:
                        return leader
        finally:
            await whole(_end_all(asked))
        return hearing.last_resort(self.name)

    def locate_blocking(self) -> Endpoint:
        """The same for a thread, which waits."""
        hearing = Hearing(self.service)
        for host in self.service.hosts:
            try:
                heard = self._ask_blocking(host)
            except _LOST as error:
                heard = _unheard(error)
            if (leader := hearing.leader(host, heard)) is not None:
                return leader
        return hearing.last_resort(self.name)

    def is_left(self, endpoint: Endpoint) -> bool:
        """Whether another server leads, as far as this process has been told."""
        return self.service.last.leader not in (None, endpoint)

    async def has_left(self, endpoint: Endpoint) -> bool:
        """The same; sentinels are asked where no session has listened to one lately, as in the monitor."""
        if boottime() - self.service.heard_at > _KNOWN_FOR:
            with contextlib.suppress(LostConnection):
                await self.locate()
        return self.is_left(endpoint)

    def watch(self, connection: Leaving) -> None:
        """Have a connection look when another server leads: a command on it may wait for one that is silent."""
        self.service.add(connection)

    async def left(self, endpoint: Endpoint) -> None:
        """Wait until another server leads than the one there."""
        while not self.is_left(endpoint):
            for host in self.service.hosts:
                with contextlib.suppress(*_LOST):
                    await self._listen(host, endpoint)
                if self.is_left(endpoint):
                    return
            await asyncio.sleep(_PATIENCE)

    async def _listen(self, host: Endpoint, endpoint: Endpoint) -> None:
        """Have one sentinel say when something happens, until another server leads; raises when it is lost."""
        async with self._connected(host) as client, client.pubsub() as events:
            async with asyncio.timeout(_PATIENCE):
                await events.subscribe(*_CHANNELS)
            while True:
                heard = await self._ask(host)
                if heard.leader is not None and heard.epoch >= self.service.last.epoch:
                    self.service.answered(host, heard)
                    if heard.leader != endpoint:
                        return
                patience = _ASKED_IN_DOUBT if heard.is_in_doubt else _ASKED_AGAIN
                while (event := await events.get_message(timeout=patience)) and event["type"] != "message":
                    pass  # that it has subscribed

    async def _heard(self, host: Endpoint) -> Opinion:
        """What one sentinel says, or why it says nothing."""
        try:
            return await self._ask(host)
        except _LOST as error:
            return _unheard(error)

    async def _ask(self, host: Endpoint) -> Opinion:
        async with asyncio.timeout(_PATIENCE), self._connected(host) as plain:
            client: Any = plain  # redis-py has no types for this
            return opinion(*[await client.execute_command("SENTINEL", word, self.name) for word in QUESTIONS])

    def _ask_blocking(self, host: Endpoint) -> Opinion:
        kind = redis.connection.SSLConnection if self.kind == "tls" else redis.connection.Connection
        pool = redis.ConnectionPool(
            kind, host=host.host, port=host.port, retry=BlockingRetry(NoBackoff(), 0), socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE, **self.sentinel_options,
        )  # fmt: skip
        with contextlib.closing(pool), redis.Redis(connection_pool=pool) as plain:
            client: Any = plain  # redis-py has no types for this
            return opinion(*(client.execute_command("SENTINEL", word, self.name) for word in QUESTIONS))

    @contextlib.asynccontextmanager
    async def _connected(self, host: Endpoint) -> "AsyncIterator[redis.asyncio.Redis]":
        """A client that is closed however often whoever uses it is cancelled."""
        client = self._client(host)
        try:
            yield client
        finally:
            await whole(client.aclose())

    def _client(self, host: Endpoint) -> "redis.asyncio.Redis":
        asynchronous = redis.asyncio.connection
        kind = asynchronous.SSLConnection if self.kind == "tls" else asynchronous.Connection
        pool = redis.asyncio.ConnectionPool(
            kind, host=host.host, port=host.port, retry=Retry(NoBackoff(), 0), socket_connect_timeout=_PATIENCE,
            **self.sentinel_options,
        )  # fmt: skip
        return redis.asyncio.Redis.from_pool(pool)


async def _end_all(tasks: "Iterable[asyncio.Task[Opinion]]") -> None:
    await asyncio.gather(*map(end, tasks))


def _unheard(error: BaseException) -> Opinion:
    return Opinion(None, str(error) or type(error).__name__, is_in_doubt=True)
