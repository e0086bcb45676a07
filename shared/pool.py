"""The pool of a service's connections beside those of its session: it counts them."""

import asyncio
from collections import deque
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.connections import client
from shared.concurrency.session.address.credentials import Credentials
from shared.concurrency.session.admission import Admission
from shared.connections import KINDS, is_refusal

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class CountedPool(redis.asyncio.ConnectionPool):
    """A pool that never has more than `max_connections`; who asks for one more waits, first come, first served.

    A server that let us in before and does not now, as while a password is changed, is waited for so long as `grace`.
    """

    def __init__(self, *args: Any, grace: float, **options: Any) -> None:
        """Use `counted_pool`."""
        super().__init__(*args, **options)
        self._admission = Admission(grace)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._granted = 0
        """Those whose turn has come and who have not run yet."""

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """Wait for a connection; returns one that is connected."""
        if self._waiting or not self._has_room():
            await self._turn()
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self._connect(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _connect(self, connection: AbstractConnection) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self.ensure_connection(connection)
            except RedisError as error:
                if not is_refusal(error):
                    raise
                self._admission.refuse()
                if self._admission.is_refused_for_good():
                    raise
            else:
                self._admission.grant()
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _has_room(self) -> bool:
        return len(self._in_use_connections) + self._granted < self.max_connections

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn: it is the next one's
                self._granted -= 1
                self._next()
            raise
        self._granted -= 1

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back. It awaits nothing: a cancelled caller must not keep its place."""
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                self._granted += 1
                turn.set_result(None)


def is_cluster(url: str) -> bool:
    """Whether an address is that of a Cluster."""
    return isinstance(read_address(url), ClusterAddress)


def data_client(
    url: str, most: int, silence: float, *, credentials: Credentials | None = None, grace: float = 0.0
) -> "redis.asyncio.Redis":
    """A client for data of one's own on `counted_pool`; of a Cluster, so many connections to each node.

    redis-py's client of a Cluster has a bound of its own on silence. Close it with `aclose`.
    """
    address = read_address(url, credentials)
    if isinstance(address, ClusterAddress):
        return client(address, most=most, socket_timeout=silence, socket_connect_timeout=silence)
    return redis.asyncio.Redis.from_pool(counted_pool(url, most, silence, credentials=credentials, grace=grace))


def counted_pool(
    url: str, most: int, silence: float, *, credentials: Credentials | None = None, grace: float = 0.0
) -> CountedPool:
    """A pool of `most` connections to an address, each closed after `silence` seconds without an awaited byte."""
    address = read_address(url, credentials)
    options = {"silence": silence, "socket_timeout": None, "socket_connect_timeout": silence, **address.options}
    return CountedPool(KINDS[address.kind], most, grace=grace, address=address, **options)
