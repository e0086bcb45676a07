"""Puts the product's client code into a world: its clocks, its connections, its heartbeat, its randomness.

All that the simulation reaches into stands here. It changes modules for good, so it runs in processes of its own.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any

import hiredis
import redis

from tests.simulation import expiry
from tests.simulation.network import Link
from tests.simulation.world import World

_CLOCK = "local now_us = tonumber(redis.call('GET', 'sim:now'))\nlocal now = math.floor(now_us / 1000)\n"
_worlds: list[World] = []
"""The last one is the one that runs. None is forgotten: what a killed process leaves must never be collected."""


def enter(world: World) -> None:
    """Have the product's code live in this world from here on."""
    _worlds.append(world)


def world() -> World:
    """The one that runs."""
    return _worlds[-1]


def install() -> None:
    """Change the product's surroundings; before anything of it is imported."""
    # Names that modules take at import: the clocks come first.
    time.clock_gettime = time.monotonic = lambda *_: world().now  # type: ignore[assignment]
    secrets.token_bytes = _random_bytes
    asyncio.to_thread = _at_once  # type: ignore[assignment]
    logging.disable(logging.CRITICAL)

    # They take the clocks above.
    from shared.concurrency.locks.leases.asking import Asking  # noqa: PLC0415
    from shared.concurrency.queues.membership import registration  # noqa: PLC0415
    from shared.concurrency.session import connection, opening, process, scripts  # noqa: PLC0415

    vars(registration)["_this_process"] = lambda: (1, b"simulated")
    Asking._who = lambda *_: b"1 simulated a task"  # type: ignore[method-assign]  # it names this process
    scripts._PARTS["clock"] = _CLOCK
    expiry.install(scripts)
    vars(connection)["Wire"] = _Wire
    vars(connection)["connection"] = lambda *_, **__: _Opened()
    vars(opening)["mismatch"] = _no_mismatch
    vars(process)["Heartbeat"] = _Heartbeat


def _random_bytes(nbytes: int | None = None) -> bytes:
    return world().rng.randbytes(nbytes or 32)


async def _at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


async def _no_mismatch(*_: object) -> str:
    """Nobody encrypts here; the product would look at a port of this machine."""
    return ""


class _Opened:
    """In the place of redis-py's connection: opens a link."""

    link: Link

    async def connect(self) -> None:
        here = world()
        await asyncio.sleep(here.delay())
        if here.now < here.down_until or (here.cuts and here.rng.random() < 0.05):
            raise OSError("refused")
        self.link = here.connect()

    async def disconnect(self, nowait: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as redis-py calls it
        if hasattr(self, "link"):
            self.link.cut()


class _Wire:
    """As the product's Wire, on a link."""

    def __init__(self, opened: _Opened, on_answer: Callable[[Any], None], on_push: Callable[[list[Any]], None]) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._link = opened.link
        self._reader = hiredis.Reader(replyError=redis._parsers.BaseParser.parse_error)
        self._on_answer, self._on_push = on_answer, on_push
        self._moved_at = world().now
        self._link.receive, self._link.lost = self._received, self._lose

    @property
    def is_open(self) -> bool:
        return not self.lost.done()

    def send(self, packed: bytes) -> None:
        self._link.send(packed)

    def moved_at(self) -> float:
        return self._moved_at

    def close(self) -> None:
        self._lose(None)
        self._link.cut()

    def _received(self, data: bytes) -> None:
        if self.lost.done():
            return
        self._moved_at = world().now
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            if isinstance(answer, hiredis.PushNotification):
                self._on_push(answer)
            else:
                self._on_answer(answer)

    def _lose(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(error)


class _Heartbeat:
    """As the product's Heartbeat; its thread is the second loop of the process."""

    def __init__(self, _url: str, ttl: float, loop_seen: Callable[[], float], greeted: Callable[[], list[Any]]) -> None:
        # It takes the clock of the world.
        from shared.concurrency.session.timetable import Timetable  # noqa: PLC0415

        self._world = world()
        self._ttl, self._loop_seen, self._greeted = ttl, loop_seen, greeted
        self._process = self._world.current
        self._is_stopped = False
        self._asked = asyncio.Event()
        self.timetable = Timetable[Any](ttl, self._ask)
        self._link: Link | None = None
        self._run_id = ""
        self._answer: asyncio.Future[Any] | None = None
        self._reader = hiredis.Reader()

    def _ask(self) -> None:
        self._process.thread.call_soon(self._asked.set)

    def start(self) -> None:
        self._task = self._process.thread.create_task(self._run())

    def stop(self) -> None:
        self._is_stopped = True
        self._process.thread.call_soon(self._asked.set)

    def follow(self, run_id: str) -> None:
        """Its connection breaks with the server's run."""

    async def _run(self) -> None:
        while not self._is_stopped:
            try:
                async with asyncio.timeout(max(0.0, self.timetable.next_at - self._world.now)):
                    await self._asked.wait()
                self._asked.clear()
                continue
            except TimeoutError:
                pass
            pause = min(1.0, self.timetable.shortest / 20)
            try:
                while due := self.timetable.take(1, pause):
                    await self._renew(due[0])
            except (OSError, TimeoutError):
                if self._link is not None:
                    self._link.cut()
                    self._link = None
                self.timetable.rest(pause)

    async def _renew(self, renewable: Any) -> None:
        sent_at = self._world.now
        if renewable.shortest_ttl < math.inf:
            if self._link is None:
                await self._connect()
            for call in renewable.renewals(self._run_id, self._world.now - self._loop_seen()):
                sent_at = self._world.now
                answer = await self._run_script(call)
                if not isinstance(answer, Exception):
                    renewable.renewed(call, sent_at, answer)
        self.timetable.renewed(renewable, sent_at)

    async def _connect(self) -> None:
        await asyncio.sleep(self._world.delay())
        if self._world.now < self._world.down_until or (self._world.cuts and self._world.rng.random() < 0.05):
            raise OSError("refused")
        self._reader = hiredis.Reader()
        self._link = self._world.connect(thread=True)
        self._link.receive, self._link.lost = self._received, self._lose
        info: bytes = await self._command("INFO", "server")
        self._run_id = next(line[7:].strip() for line in info.decode().splitlines() if line.startswith("run_id:"))
        for renewable in self._greeted():
            greeting = renewable.greeting(self._run_id)
            if greeting is not None:
                answer = await self._run_script(greeting)
                if greeting.at_reply is not None and not isinstance(answer, Exception):
                    greeting.at_reply(answer)

    def _received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    def _lose(self, _error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError("cut"))

    async def _command(self, *command: str | bytes | int) -> Any:
        if self._link is None or self._link.is_cut:
            raise OSError("cut")
        self._answer = asyncio.get_running_loop().create_future()
        self._link.send(hiredis.pack_command(command))  # type: ignore[arg-type]
        async with asyncio.timeout(max(0.2, self._ttl / 4)):
            return await self._answer

    async def _run_script(self, call: Any) -> Any:
        packed = call.script.pack(call.keys, call.arguments)
        answer = await self._command(call.script.command, call.script.sha, *packed)
        if isinstance(answer, Exception) and "NOSCRIPT" in str(answer):
            await self._command(b"SCRIPT", b"LOAD", call.script.source)
            answer = await self._command(call.script.command, call.script.sha, *packed)
        return answer
