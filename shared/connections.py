"""The connections of a service beside those of its session, looked after.

A NAT or a load balancer may swallow the bytes of a connection that looks open at both ends. So each reply has a bound
on silence, and a connection that was idle is asked before it is used. redis-py's own `socket_timeout` is left alone: on
Python 3.11 it uses `wait_for`, which can swallow the cancellation of a handler.
"""

import asyncio
import re
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from shared.concurrency.session.address.connections import SocketConnection, TcpConnection, TlsConnection
from shared.concurrency.session.address.endpoint import Kind

_REFUSALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
# Wrong passwords arrive as lost connections, too.
_NO_ENTRY: Final = re.compile(r"NOAUTH|WRONGPASS|invalid username-password")
_PASSES: Final = (LostConnection, LateAnswer, OutOfMemoryError, ReadOnlyError, ClusterDownError, MasterDownError)
_PASSING_CODES: Final = ("BUSY", "MISCONF", "NOREPLICAS", "TRYAGAIN")

OF_A_SESSION: Final = 2
"""A session has two connections: one for calls and wake-ups, one for the heartbeat."""

_AT_ONCE: Final = 16_384

# Commands that wait on the server: where they say for how long, and how many of it are a second.
_LAST, _FIRST = -1, 1
_WAITS: Final = {
    "BLPOP": (_LAST, 1), "BRPOP": (_LAST, 1), "BRPOPLPUSH": (_LAST, 1), "BLMOVE": (_LAST, 1), "BZPOPMIN": (_LAST, 1),
    "BZPOPMAX": (_LAST, 1), "BLMPOP": (_FIRST, 1), "BZMPOP": (_FIRST, 1), "WAIT": (_LAST, 1000), "WAITAOF": (_LAST, 1000),
}  # fmt: skip
_READS: Final = ("XREAD", "XREADGROUP")


def is_refusal(error: RedisError) -> bool:
    """Whether the server does not let us in, or not do that."""
    return isinstance(error, _REFUSALS) or _NO_ENTRY.search(str(error)) is not None


def is_passing(error: RedisError) -> bool:
    """Whether a command that failed like this may work later: the server is away, or refuses for now."""
    if is_refusal(error):
        return False
    return isinstance(error, _PASSES) or str(error).startswith(_PASSING_CODES)


class _ClosedAsLate(LateAnswer, LostConnection):
    """A reply that did not come, and a lost connection too: redis-py's pipelines give back none that is only late."""


class _LookedAfter(AbstractConnection):
    """A connection that does not wait for ever: of `silence` seconds without a byte of an awaited reply it is closed.

    A command that waits on the server may do so for as long as it says; one that waits for ever has keepalive alone, as
    has a subscription.
    """

    def __init__(self, *, silence: float, **options: Any) -> None:
        super().__init__(**options)
        self._silence = silence
        self._patience: float | None = silence
        self._received_at = 0.0
        self._bound: asyncio.Timeout | None = None
        self._is_greeting = False

    async def connect(self) -> None:
        """Connect and greet, each step within the bound."""
        self._is_greeting, patience = True, self._patience
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        finally:
            self._is_greeting, self._patience = False, patience

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[safe-super, no-untyped-call]  # a mixin: it stands before a real one
        if self._reader is not None:
            self._hear(self._reader)

    def _hear(self, reader: asyncio.StreamReader) -> None:
        feed, loop = reader.feed_data, asyncio.get_running_loop()

        def receive(data: Any) -> None:
            self._received_at = loop.time()
            bound = self._bound
            if bound is not None and bound.when() is not None and not bound.expired():
                bound.reschedule(self._received_at + self._silence)
            feed(data)

        reader.feed_data = receive  # type: ignore[method-assign]
        self._received_at = loop.time()

    async def disconnect(self, nowait: bool = False, **about: Any) -> None:  # noqa: FBT001, FBT002  # redis-py's signature
        """Close the connection; what the other end does not take is not waited for."""
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size():
            writer.transport.abort()
        await super().disconnect(nowait, **about)

    async def send_command(self, *args: Any, **options: Any) -> None:
        """Send a command, and note for how long it may wait on the server."""
        self._patience = _patience(args, self._silence)
        await super().send_command(*args, **options)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002  # as above
        """Send; a connection that was idle for as long as the bound is asked first, and replaced if it is dead."""
        if self._is_greeting:
            check_health = False
        idle = asyncio.get_running_loop().time() - self._received_at
        if check_health and self.is_connected and idle > self._silence:
            await self._probe()
        writer = self._writer
        if writer is None or (_is_small(command) and not writer.transport.get_write_buffer_size()):
            await super().send_packed_command(command, check_health=False)
            return
        try:
            async with asyncio.timeout(self._silence):
                await super().send_packed_command(command, check_health=False)
        except TimeoutError:
            raise self._late() from None

    async def _probe(self) -> None:
        patience = self._patience
        try:
            await self._send_ping()  # type: ignore[no-untyped-call]
        except (LostConnection, LateAnswer):
            await self.disconnect(nowait=True)
            await self.connect()
        finally:
            self._patience = patience

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply.

        :raises redis.exceptions.TimeoutError: when no byte of it has come for as long as the bound.
        """
        patience, self._patience = self._patience, self._silence
        if options.get("timeout") is not None or options.get("push_request"):
            return await super().read_response(*args, **options)  # bounded by the caller, or a subscription
        try:
            async with asyncio.timeout(patience) as self._bound:
                return await super().read_response(*args, **options)
        except TimeoutError:
            raise self._late() from None
        finally:
            self._bound = None

    def _late(self) -> LateAnswer:
        return _ClosedAsLate(f"{self._host_error()} has not answered for {self._silence:g} s: the connection is closed")


class _Plain(_LookedAfter, TcpConnection):
    pass


class _Encrypted(_LookedAfter, TlsConnection):
    pass


class _Local(_LookedAfter, SocketConnection):
    pass


KINDS: Final[dict[Kind, type[_LookedAfter]]] = {"tcp": _Plain, "tls": _Encrypted, "socket": _Local}
"""Which connection leads to which kind of address."""


def _is_small(command: object) -> bool:
    """Whether a packed command is written without waiting, where nothing waits to be written before it."""
    return isinstance(command, list) and len(command) == 1 and len(command[0]) < _AT_ONCE


def _patience(command: tuple[Any, ...], silence: float) -> float | None:
    """For how many seconds the server may be silent after a command; None for ever."""
    word = command[0]
    name = (word.decode() if isinstance(word, bytes) else str(word)).upper()
    try:
        if name in _WAITS:
            place, unit = _WAITS[name]
            seconds = float(command[place]) / unit
        elif name in _READS:
            words = [str(word.decode() if isinstance(word, bytes) else word).upper() for word in command]
            if "BLOCK" not in words:
                return silence
            seconds = float(command[words.index("BLOCK") + 1]) / 1000
        else:
            return silence
    except (ValueError, TypeError, IndexError, UnicodeDecodeError):
        return silence  # the server refuses it
    return None if seconds == 0 else silence + seconds
