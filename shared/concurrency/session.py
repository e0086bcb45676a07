"""Session: one identity, one heartbeat, one connection for calls and wake-ups, for everything a process does."""

import asyncio
import base64
import contextlib
import math
import secrets
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import structlog

from shared.concurrency.clock import boottime, margin
from shared.concurrency.connection import Connection
from shared.concurrency.errors import ConcurrencyError, ServerUnavailable
from shared.concurrency.heartbeat import Heartbeat, Renewable
from shared.concurrency.lanes import Lanes
from shared.concurrency.refusals import Disconnected

T = TypeVar("T")

log = structlog.get_logger(__name__)

_SHORTEST_TTL: Final = 0.1
_LONGEST_TTL: Final = 3600.0


class Session:
    """One identity at one server. Every primitive is built from a session; open it with `Session.open`.

    A session that cannot renew itself before its deadline is over: what it held is lost and recovered by others, and
    the process goes on under a new one by itself. It belongs to one event loop.
    """

    def __init__(self, url: str, ttl: float) -> None:
        """Use `Session.open`."""
        self.owner: Final = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        """What this process is called on the server; it outlives its sessions there."""
        self.ttl: Final = ttl
        self._lanes: dict[str, Lanes] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop_seen = boottime()
        self._run_id = ""
        self._closed = False
        self._patience = max(1.0, ttl / 2)
        self._connection = Connection(
            url,
            self.owner,
            reply_timeout=self._patience,
            on_message=self._hear,
            on_connected=self._greet,
            on_lost=self._renew_at_once,
        )
        self._heartbeat = Heartbeat(url, ttl, lambda: self._loop_seen, self._renewables)
        self._ticker: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, *, ttl: float = 10.0, connect_timeout: float = 10.0) -> AsyncIterator["Session"]:
        """Connect, and disconnect at the end of the block, giving back what is held.

        `url`: redis://, rediss:// or unix://. `ttl`: seconds after which others may take what a silent session holds
        (0.1 to 3600). Waits until the server answers, `connect_timeout` seconds at most; later outages are waited out
        by every call.

        :raises ServerUnavailable: (a ConnectionError) when no server answered in time.
        :raises ServerRefused: when the server answers but can not be used: too old, it evicts, it forbids.
        :raises ValueError: when an argument is out of range or the address can not be read.
        """
        _check_seconds("ttl", ttl, _SHORTEST_TTL, _LONGEST_TTL)
        _check_seconds("connect_timeout", connect_timeout, 0.001, 86400.0)
        session = cls(_check_url(url), ttl)
        try:
            await session._start(url, connect_timeout)
            yield session
        finally:
            await session._close()

    async def _start(self, url: str, connect_timeout: float) -> None:
        self._connection.start()
        try:
            async with asyncio.timeout(connect_timeout):
                await self._connection.opened()
        except TimeoutError:
            raise ServerUnavailable(
                f"no server answered at {_without_secrets(url)} within {connect_timeout:g} s "
                f"({self._connection.problem}): is the address right, and does it run?"
            ) from None
        self._ticker = asyncio.create_task(self._tick(), name="weir-ticker")
        self._heartbeat.start()

    async def _close(self) -> None:
        # A cancelled block still ends its session; how long that takes is bounded.
        closing = asyncio.create_task(self._end(), name="weir-close")
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                cancelled = error
        closing.result()
        if cancelled is not None:
            raise cancelled

    async def _end(self) -> None:
        self._closed = True
        await asyncio.gather(*(lanes.close(self._patience) for lanes in self._lanes.values()))
        ending = list(self._tasks)
        if self._ticker is not None:
            ending.append(self._ticker)
            await asyncio.to_thread(self._heartbeat.stop)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await self._connection.close()

    async def _tick(self) -> None:
        pause = min(0.25, margin(self.ttl) / 2)
        while True:
            self._loop_seen = boottime()
            for lanes in list(self._lanes.values()):
                lanes.member.look_at_clock()
            await asyncio.sleep(pause)

    def lanes(self, name: str) -> Lanes:
        """This process's part in a queue.

        :raises ConcurrencyError: when the session is closed.
        """
        self.check_open()
        lanes = self._lanes.get(name)
        if lanes is None:
            lanes = self._lanes[name] = Lanes(self._connection, self.owner, self.ttl, name)
            lanes.member.run_id = self._run_id
        return lanes

    def check_open(self) -> None:
        """Raise ConcurrencyError when the session is closed."""
        if self._closed:
            raise ConcurrencyError("the session is closed: use its queues inside `async with Session.open(...)`")

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step to its end even if the caller is cancelled: a command on the wire is never cancelled."""
        task = asyncio.create_task(work, name="weir-call")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        await asyncio.wait({task})
        if task.cancelled():
            raise ConcurrencyError("the session was closed before the server answered")
        return task.result()

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def _renew_at_once(self) -> None:
        self._heartbeat.ask()

    def _hear(self, message: bytes) -> None:
        what, name, *more = message.split(b" ", 2)
        lanes = self._lanes.get(name.decode())
        if lanes is not None:
            lanes.hear(what, *more)

    async def _greet(self, run_id: str) -> None:
        self._run_id = run_id
        for lanes in list(self._lanes.values()):
            lanes.member.run_id = run_id
            try:
                await lanes.member.announce()
            except Disconnected:
                raise
            except ConcurrencyError as error:  # one spoilt queue must not stop the others
                log.warning(
                    "the queue could not be told of the connection", queue=lanes.member.name, problem=str(error)
                )
            lanes.look()

    def _renewables(self) -> list[Renewable]:
        return [lanes.member for lanes in list(self._lanes.values()) if lanes.member.known]


def _check_seconds(word: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{word} is a number of seconds, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{word} is between {least:g} and {most:g} seconds, not {value!r}")


def _check_url(url: str) -> str:
    if not isinstance(url, str) or urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("the address begins with redis://, rediss:// or unix://, for example redis://localhost:6379/0")
    return url


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    return f"{parts.scheme}://{where}{parts.path}"
