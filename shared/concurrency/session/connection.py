"""The one connection of a session: calls go out and are answered in order, wake-ups come in between.

redis-py's Connection opens it, our Wire reads it: no caller's cancellation ever reaches the connection, for callers
wait for futures.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import hiredis
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.names import channel
from shared.concurrency.session.protocol import Wire
from shared.concurrency.session.scripts import Script
from shared.concurrency.session.server_errors import Disconnected, Postponed, check_server, fields, translate, wrong_key

log = structlog.get_logger(__name__)

# What redis-py passes on as a broken connection.
_NO_ENTRY: Final = re.compile(r"NOAUTH|WRONGPASS|HELLO must be called|invalid username-password")
_LOST: Final = (RedisError, OSError, TimeoutError, EOFError)


class _Awaited(NamedTuple):
    reply: asyncio.Future[Any]
    sent_at: float
    at_reply: Callable[[Any], object] | None


class Connection:
    """One RESP3 connection that comes back by itself."""

    def __init__(
        self,
        url: str,
        owner: str,
        *,
        reply_timeout: float,
        on_message: Callable[[bytes], None],
        on_connected: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        """Prepare; `start` connects.

        `on_connected` gets the server's run_id and may use `request`, before anybody else's call goes out.
        A call that is not answered within `reply_timeout` seconds means that the connection is dead.

        :raises ValueError: when redis-py can not read the address.
        """
        self._channel = channel(owner)
        options: dict[str, Any] = {"protocol": 3, "socket_timeout": None, "retry": Retry(NoBackoff(), 0)}
        if not url.startswith("unix:"):
            options["socket_keepalive"] = True
        self._pool = redis.asyncio.ConnectionPool.from_url(url, client_name=f"weir-{owner}", **options)
        self._reply_timeout = reply_timeout
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self.run_id = ""
        """Which run of the server this connection leads to, by what it said of itself."""
        self.is_on_cluster = False
        """Whether the server is a node of a Cluster."""
        self._wire: Wire | None = None
        self._replies: deque[_Awaited] = deque()
        self._usable = asyncio.Event()
        self._greeted = False
        self._refusal: ServerRefused | None = None
        self._problem = "no connection yet"
        self._runner: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks."""
        self._runner = asyncio.create_task(self._run(), name="weir-connection")

    async def opened(self) -> None:
        """Wait until the connection can be used.

        :raises ServerRefused: when the server answers but can not be used as it is.
        """
        await self._usable.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def problem(self) -> str:
        """What stood in the way of the last attempt to connect."""
        return self._problem

    async def close(self) -> None:
        """Disconnect for good."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})

    async def call(
        self,
        script: Script,
        keys: Mapping[str, bytes],
        *arguments: bytes | str | int,
        more_keys: Sequence[bytes] = (),
        at_reply: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a script; while there is no connection, wait for one.

        `more_keys` stand behind those of the script's header. `at_reply` is given the answer when it is read, before any message behind it and a turn of the loop before the
        caller; what it raises, the caller gets.

        :raises Disconnected: when the connection broke before the answer came.
        :raises Postponed: when the server refused it for now, OutOfMemory when its memory is full.
        :raises ServerRefused: when the server will not have it at all.
        :raises ConcurrencyError: when a key of ours holds something that is not ours.
        """
        await self.opened()
        return await self.request(script, keys, *arguments, more_keys=more_keys, at_reply=at_reply)

    async def insist(
        self,
        script: Script,
        keys: Mapping[str, bytes],
        *arguments: bytes | str | int,
        more_keys: Sequence[bytes] = (),
        at_reply: Callable[[Any], object] | None = None,
    ) -> Any:
        """As `call`, for a step that may be repeated: waits out an outage.

        :raises ConcurrencyError: when the server refuses the step for good, or its memory is full.
        """
        pause = 0.02
        while True:
            try:
                return await self.call(script, keys, *arguments, more_keys=more_keys, at_reply=at_reply)
            except Disconnected:
                pause = 0.02
            except Postponed:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)

    async def request(
        self,
        script: Script,
        keys: Mapping[str, bytes],
        *arguments: bytes | str | int,
        more_keys: Sequence[bytes] = (),
        at_reply: Callable[[Any], object] | None = None,
    ) -> Any:
        """As `call`, but on the connection there is, or fail."""
        packed = script.pack(keys, arguments, more_keys)
        try:
            try:
                return await self._command(b"EVALSHA", script.sha, *packed, at_reply=at_reply)
            except NoScriptError:
                return await self._command(b"EVAL", script.source, *packed, at_reply=at_reply)
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                kinds = {word: await self._type_of(keys[word]) for word in script.keys}
                raise wrong_key(script, keys, kinds) from error
            raise translate(error, script) from error

    async def _type_of(self, key: bytes) -> str:
        found = await self._command("TYPE", key)
        return found.decode() if isinstance(found, bytes) else str(found)

    async def _command(self, *command: bytes | str | int, at_reply: Callable[[Any], object] | None = None) -> Any:
        wire = self._wire
        if wire is None or not wire.is_open:
            # Broken, and nobody has noticed yet: whoever calls again must wait for the next connection.
            self._forget_wire()
            raise Disconnected(self._problem)
        # Before the reply is awaited: what cannot be packed must not shift all answers by one.
        packed = _pack(*command)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append(_Awaited(reply, boottime(), at_reply))
        wire.send(packed)
        answer = await reply
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _run(self) -> None:
        pause = 0.02
        while True:
            opened = self._pool.make_connection()  # type: ignore[no-untyped-call]
            wire: Wire | None = None
            try:
                async with asyncio.timeout(self._reply_timeout):
                    await opened.connect()
                wire = self._wire = Wire(opened, self._answered, self._pushed)
                await self._greet(wire)
                pause = 0.02
                self._greeted = True
                self._usable.set()
                await self._watch(wire)
            except (AuthenticationError, NoPermissionError) as error:
                self._refuse(
                    f"the server does not let us in: {error}. Check user, password and ACL rules of the address"
                )
            except ServerRefused as error:
                self._refuse(str(error))
            except (*_LOST, ConcurrencyError) as error:
                self._problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                if _NO_ENTRY.search(str(error)):
                    self._refuse(f"the server does not let us in: {error}. Is there a password in the address?")
            finally:
                self._drop(wire)
                with contextlib.suppress(*_LOST):
                    await opened.disconnect(nowait=True)
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)

    def _refuse(self, reason: str) -> None:
        self._problem = reason
        if self._refusal is None:
            self._refusal = ServerRefused(reason)
            self._usable.set()

    async def _greet(self, wire: Wire) -> None:
        greeting = asyncio.create_task(self._introduce(wire), name="weir-greeting")
        ends: set[asyncio.Future[Any]] = {greeting, wire.lost}
        try:
            done, _ = await asyncio.wait(ends, timeout=self._reply_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            greeting.cancel()
            await asyncio.wait({greeting})
        if not done:
            raise Disconnected("the server does not answer")
        if greeting.cancelled():
            raise wire.lost.result() or Disconnected(self._problem)
        greeting.result()
        self._refusal = None

    async def _introduce(self, wire: Wire) -> None:
        server = fields(await self._command("INFO", "server"))
        check_server(server, fields(await self._command("INFO", "memory")))
        if not wire.is_open:
            raise Disconnected(self._problem)
        # Its answer is a push, not a reply.
        wire.send(_pack(b"SUBSCRIBE", self._channel))
        self.run_id = server.get("run_id", "")
        # Redis and Valkey call it differently.
        self.is_on_cluster = "cluster" in (server.get("redis_mode"), server.get("server_mode"))
        await self._on_connected(self.run_id)

    def _pushed(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._on_message(push[2])

    def _answered(self, answer: Any) -> None:
        reply, _, at_reply = self._replies.popleft()
        if at_reply is not None and not isinstance(answer, Exception):
            try:
                at_reply(answer)
            except Exception as error:  # noqa: BLE001  # it is the caller's, not the reader's
                answer = error
        if not reply.done():
            reply.set_result(answer)

    async def _watch(self, wire: Wire) -> None:
        while not wire.lost.done():
            await asyncio.wait({wire.lost}, timeout=self._reply_timeout / 4)
            if self._replies and boottime() - self._replies[0].sent_at > self._reply_timeout:
                raise Disconnected("the server does not answer")
        raise wire.lost.result() or Disconnected(self._problem)

    def _drop(self, wire: Wire | None) -> None:
        was_greeted, self._greeted = self._greeted, False
        self._forget_wire()
        if wire is not None:
            wire.close()
        while self._replies:
            reply = self._replies.popleft().reply
            if not reply.done():
                reply.set_result(Disconnected(self._problem))
        if was_greeted:
            self._on_lost()

    def _forget_wire(self) -> None:
        self._wire = None
        if self._refusal is None:
            self._usable.clear()


def _pack(*command: bytes | str | int) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows tuples of one only
    return packed
