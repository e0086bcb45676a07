"""redis-py's connections, which ask their address where to connect each time they do."""

import asyncio
import contextlib
from typing import Any, Final, cast

import redis.asyncio.connection
import redis.connection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.certificates import Certified
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.cluster_client import cluster_client
from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.role import greet_primary, greet_primary_blocking, while_it_leads


class _Asking(AbstractConnection):
    """A connection of an event loop that asks before it connects."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        if address.leads_to_primary:
            options["redis_connect_func"] = greet_primary
        super().__init__(**options)
        self.address = address

    async def _connect(self) -> None:
        found = await self.address.locate()
        if found is None:
            await super()._connect()  # type: ignore[safe-super, no-untyped-call]  # a mixin, before a real one
            return
        self.host, self.port = found
        self._loop = asyncio.get_running_loop()
        await while_it_leads(self, super()._connect())  # type: ignore[safe-super, no-untyped-call]  # as above
        self.address.watch(self)

    def look_whether_left(self) -> None:
        """Break if the address leads elsewhere now: what waits for an answer fails, and asks again. In any thread."""
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self._writer is not None and self.address.is_left(Endpoint(self.host, self.port)):
            self._writer.transport.abort()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply; a server that is a replica now is left."""
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError as error:
            if not self.address.leads_to_primary:
                raise
            await self.disconnect(nowait=True)
            raise LostConnection(str(error)) from error

    async def can_read_destructive(self) -> bool:
        """Asked of each connection that a pool hands out; one to a server that leads no more is connected again."""
        if self.address.leads_to_primary and await self.address.has_left(Endpoint(self.host, self.port)):
            raise LostConnection("another server leads now")
        return bool(await super().can_read_destructive())  # type: ignore[no-untyped-call]


class TcpConnection(_Asking, redis.asyncio.connection.Connection):
    """Over a network."""


class TlsConnection(_Asking, Certified):
    """Over a network, encrypted."""


class SocketConnection(_Asking, redis.asyncio.connection.UnixDomainSocketConnection):
    """Through a socket of this machine."""


class _BlockingAsking(redis.connection.AbstractConnection):
    """A connection of a thread that asks before it connects."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        if address.leads_to_primary:
            options["redis_connect_func"] = greet_primary_blocking
        super().__init__(**options)
        self.address = address

    def _connect(self) -> Any:
        found = self.address.locate_blocking()
        if found is not None:
            self.host, self.port = found
        return super()._connect()  # type: ignore[safe-super, no-untyped-call]  # a mixin: it stands before a real one


class _BlockingTcp(_BlockingAsking, redis.connection.Connection):
    pass


class _BlockingTls(_BlockingAsking, redis.connection.SSLConnection):
    pass


class _BlockingSocket(_BlockingAsking, redis.connection.UnixDomainSocketConnection):
    pass


ASKING: Final[dict[Kind, type[_Asking]]] = {
    "tcp": TcpConnection,
    "tls": TlsConnection,
    "socket": SocketConnection,
}
_BLOCKING: Final[dict[Kind, type[_BlockingAsking]]] = {
    "tcp": _BlockingTcp,
    "tls": _BlockingTls,
    "socket": _BlockingSocket,
}


def connection(address: Address, **options: Any) -> AbstractConnection:
    """A connection for an event loop, not connected yet. `options` are redis-py's; the address's own win."""
    return ASKING[address.kind](address=address, **{**options, **address.options})


def blocking_connection(address: Address, **options: Any) -> redis.connection.AbstractConnection:
    """A connection for a thread, not connected yet; the rest is as with `connection`."""
    return _BLOCKING[address.kind](address=address, **{**options, **address.options})


def client(address: Address, **options: Any) -> "redis.asyncio.Redis":
    """A client of redis-py with a pool of its own, whose connections ask the address. Close it when it is done.

    Of a Cluster it is a RedisCluster, which has the same commands and asks the nodes itself.
    """
    if isinstance(address, ClusterAddress):
        return cast("redis.asyncio.Redis", cluster_client(address, **options))
    pool = redis.asyncio.ConnectionPool(ASKING[address.kind], address=address, **{**options, **address.options})
    return redis.asyncio.Redis.from_pool(pool)
