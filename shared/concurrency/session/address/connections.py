"""redis-py's connections, which ask their address where to connect each time they do."""

from typing import Any, Final

import redis.asyncio.connection
import redis.connection
from redis.asyncio.connection import AbstractConnection

from shared.concurrency.session.address.address import Address, Kind
from shared.concurrency.session.address.certificates import Certified


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


class TlsConnection(_Asking, Certified):
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
    """A connection for an event loop, not connected yet. `options` are redis-py's; the address's own win."""
    return ASKING[address.kind](address=address, **{**options, **address.options})


def blocking_connection(address: Address, **options: Any) -> redis.connection.AbstractConnection:
    """A connection for a thread, not connected yet; the rest is as with `connection`."""
    return _BLOCKING[address.kind](address=address, **{**options, **address.options})


def client(address: Address, **options: Any) -> "redis.asyncio.Redis":
    """A client of redis-py with a pool of its own, whose connections ask the address. Close it when it is done."""
    pool = redis.asyncio.ConnectionPool(ASKING[address.kind], address=address, **{**options, **address.options})
    return redis.asyncio.Redis.from_pool(pool)
