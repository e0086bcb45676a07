"""redis-py's client in a world: what arq and deferred messages talk through, on the links of its network.

The times that arq and `schedule` read are the world's, and so is the end of a job's key: the server would count real
seconds.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import arq.utils
import arq.worker
import hiredis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection

import shared.clock.deferred
from shared.connections import _LookedAfter
from shared.pool import CountedPool
from tests.simulation.network import EPOCH, Link
from tests.simulation.product import world
from tests.simulation.world import World

_MOST: Final = 4
_IN_PROGRESS: Final = "arq:in-progress:*"


class _Datetime(dt.datetime):
    """Its `now` is the server's clock: all machines agree."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_Datetime":
        return cls.fromtimestamp(_wall(), tz)


def _wall() -> float:
    return EPOCH + world().server_now


def use_virtual_time() -> None:
    """Have arq and deferred messages live in the time of the world."""
    vars(arq.utils)["time"] = vars(arq.worker)["time"] = _wall
    vars(arq.worker)["datetime"] = vars(shared.clock.deferred)["datetime"] = _Datetime


class _Writer:
    """The writing end of a connection: each command travels by itself."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._reader = hiredis.Reader()
        self.transport = self

    def writelines(self, data: Iterable[bytes]) -> None:
        for each in data:
            self._reader.feed(each)
        while (command := self._reader.gets()) is not False:
            self._link.send(hiredis.pack_command(tuple(command)))

    async def drain(self) -> None:
        if self._link.is_cut:
            raise ConnectionResetError("cut")

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self._link.cut()

    close = abort

    async def wait_closed(self) -> None:
        """There is nothing to wait for."""


class _OnLink(AbstractConnection):
    """A connection of redis-py that opens a link."""

    def repr_pieces(self) -> list[tuple[str, Any]]:
        return []

    def _host_error(self) -> str:
        return "simulated"

    async def _connect(self) -> None:
        here = world()
        await asyncio.sleep(here.delay())
        if here.now < here.down_until or (here.cuts and here.rng.random() < 0.05):
            raise OSError("refused")
        link = here.connect()
        self._reader = reader = asyncio.StreamReader(loop=asyncio.get_running_loop())
        self._writer: Any = _Writer(link)

        def receive(data: bytes) -> None:
            reader.feed_data(data)  # looked up late: whoever looks after the connection replaces it

        link.receive, link.lost = receive, reader.set_exception

    async def on_connect(self) -> None:
        """Greet; a link speaks the newer protocol until then."""
        self._parser.on_connect(self)  # type: ignore[no-untyped-call]
        await self.send_command("HELLO", 2)
        await self.read_response()


class _Simulated(_LookedAfter, _OnLink):
    pass


def client() -> "redis.asyncio.Redis":
    """A client on the pool that services have, of the process whose code runs now."""
    return redis.asyncio.Redis.from_pool(CountedPool(_Simulated, _MOST, grace=0.0, silence=2.0))


class JobKeys:
    """The keys by which arq's workers know that a job is done by one: each goes after its time in the world."""

    def __init__(self, world: World, kept_for: float) -> None:
        """Look after every command. `kept_for`: seconds that they are kept."""
        self._world, self._kept_for = world, kept_for
        self._known: dict[bytes, object] = {}
        self._call: Callable[..., Any] = world.control.call
        world.checks.append(self._look)

    def _look(self) -> None:
        there = set(self._call("KEYS", _IN_PROGRESS))
        for key in self._known.keys() - there:
            del self._known[key]
        for key in sorted(there - self._known.keys()):
            grant = self._known[key] = object()
            self._call("PERSIST", key)
            self._world.later(self._kept_for, partial(self._end, key, grant))

    def _end(self, key: bytes, grant: object) -> None:
        if self._known.get(key) is grant:
            self._call("DEL", key)
            del self._known[key]
