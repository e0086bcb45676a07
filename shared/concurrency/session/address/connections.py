"""redis-py's connections, which ask their address where to connect each time they do."""

from typing import Any, Final, cast

import redis.asyncio.connection
import redis.connection
from redis.asyncio.connection import AbstractConnection

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.cluster_client import cluster_client
from shared.concurrency.session.address.endpoint import Kind


class _Asking(AbstractConnection):
    """A connection of an event loop that asks before it connects."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        super().__init__(**options)
        self.address = address

    async def _connect(self) -> None:
        found = await self.address.locate()
        if found is not None:
            self.host, self.port = found
        await super()._connect()  # type: ignore[safe-super, no-untyped-call]  # a mixin: it stands before a real one


class TcpConnection(_Asking, redis.asyncio.connection.Connection):
    """Over a network."""


class TlsConnection(_Asking, redis.asyncio.connection.SSLConnection):
    """Over a network, encrypted."""


class SocketConnection(_Asking, redis.asyncio.connection.UnixDomainSocketConnection):
    """Through a socket of this machine."""


class _BlockingAsking(redis.connection.AbstractConnection):
    """A connection of a thread that asks before it connects."""

    def __init__(self, *, address: Address, **options: Any) -> None:
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
    """A connection for an event loop, not connected yet. `options` are redis-py's; the address's own win.

    :raises ValueError: when the address has an option that redis-py does not know.
    """
    try:
        return ASKING[address.kind](address=address, **{**options, **address.options})
    except TypeError as error:
        raise _unknown_option(error) from error


def blocking_connection(address: Address, **options: Any) -> redis.connection.AbstractConnection:
    """A connection for a thread, not connected yet; the rest is as with `connection`."""
    try:
        return _BLOCKING[address.kind](address=address, **{**options, **address.options})
    except TypeError as error:
        raise _unknown_option(error) from error


def client(address: Address, **options: Any) -> "redis.asyncio.Redis":
    """A client of redis-py with a pool of its own, whose connections ask the address. Close it when it is done.

    Of a Cluster it is a RedisCluster, which has the same commands and asks the nodes itself.
    """
    if isinstance(address, ClusterAddress):
        return cast("redis.asyncio.Redis", cluster_client(address, **options))
    pool = redis.asyncio.ConnectionPool(ASKING[address.kind], address=address, **{**options, **address.options})
    return redis.asyncio.Redis.from_pool(pool)


def _unknown_option(error: TypeError) -> ValueError:
    return ValueError(f"the address has an option that redis-py does not know: {error}")
