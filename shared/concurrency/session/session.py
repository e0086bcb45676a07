"""Session: one identity, one heartbeat, one connection for calls and wake-ups, for everything a process does."""

import asyncio
import base64
import contextlib
import itertools
import math
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import structlog

from shared.concurrency.errors import ConcurrencyError, ServerUnavailable
from shared.concurrency.locks.leases.participant import LEASE_NEWS, Lessee
from shared.concurrency.queues.participant import Lanes
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.connection import Connection
from shared.concurrency.session.heartbeat import Heartbeat, Renewable
from shared.concurrency.session.scripts import Script
from shared.concurrency.session.server_errors import Disconnected

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
        self._lessees: dict[str, Lessee] = {}
        self._listening: dict[tuple[bytes, str], set[asyncio.Event]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop_seen = boottime()
        self.loop: Final = asyncio.get_running_loop()
        """The event loop it belongs to."""
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
        parts: list[Lanes | Lessee] = [*self._lanes.values(), *self._lessees.values()]
        await asyncio.gather(*(part.close(self._patience) for part in parts))
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
            lanes.member.run_id = self._connection.run_id
        return lanes

    def lessee(self, name: str) -> Lessee:
        """This process's part in the lease of a name.

        :raises ConcurrencyError: when the session is closed.
        """
        self.check_open()
        lessee = self._lessees.get(name)
        if lessee is None:
            lessee = self._lessees[name] = Lessee(self._connection, name, self.new_id, self._heartbeat.within)
        return lessee

    def new_id(self, ttl: float) -> str:
        """What nobody else is called at the server, with a time to live in seconds."""
        return f"{self.owner}.{next(self._numbers)}.{round(ttl * 1000)}"

    async def call(self, script: Script, keys: Mapping[str, bytes], *arguments: bytes | str | int) -> Any:
        """Run a step that may be repeated, waiting out an outage.

        :raises ConcurrencyError: when the session is closed, or the server refuses the step.
        """
        self.check_open()
        return await self._connection.insist(script, keys, *arguments)

    @contextlib.contextmanager
    def listening(self, what: bytes, name: str) -> Iterator[asyncio.Event]:
        """An event that is set when a script tells this process that of this name, and when the connection comes back."""
        told = asyncio.Event()
        there = self._listening.setdefault((what, name), set())
        there.add(told)
        try:
            yield told
        finally:
            there.discard(told)
            if not there:
                self._listening.pop((what, name), None)

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
        for told in self._listening.get((what, name.decode()), ()):
            told.set()
        # A queue and a lease may have the same name.
        parts: dict[str, Lessee] | dict[str, Lanes] = self._lessees if what in LEASE_NEWS else self._lanes
        part = parts.get(name.decode())
        if part is not None:
            part.hear(what, *more)

    async def _greet(self, run_id: str) -> None:
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
        for lessee in list(self._lessees.values()):
            lessee.look()
        for listeners in self._listening.values():
            for told in listeners:
                told.set()

    def _renewables(self) -> list[Renewable]:
        return [*(lanes.member for lanes in list(self._lanes.values())), *list(self._lessees.values())]


def check_times(session: Session, ttl: float | None, max_hold: float | None) -> tuple[float, float | None]:
    """The time to live of a lease and its longest time, in seconds.

    :raises ValueError: when one of them is out of range.
    """
    if ttl is not None:
        _check_seconds("ttl", ttl, _SHORTEST_TTL, _LONGEST_TTL)
    if max_hold is not None:
        _check_seconds("max_hold", max_hold, _SHORTEST_TTL, 86400.0 * 365)
    return session.ttl if ttl is None else float(ttl), max_hold


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
