"""Process: what one session is made of. The primitives reach it through `process_of`; users never get it."""

import asyncio
import base64
import itertools
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final, TypeVar

from shared.concurrency.errors import ConcurrencyError, WrongLoop
from shared.concurrency.session.address.address import Address
from shared.concurrency.session.background import Background
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call, Calls
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.heartbeat import Heartbeat
from shared.concurrency.session.link import Origin
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import tag_of
from shared.concurrency.session.opening import Opening
from shared.concurrency.session.parts import Listener, Part, Parts
from shared.concurrency.session.reach import reach
from shared.concurrency.session.refusals import Refusals
from shared.concurrency.session.renewable import Renewable
from shared.concurrency.session.tally import Tally
from shared.concurrency.session.tasks import outlast
from shared.concurrency.session.ticker import Ticker
from shared.concurrency.session.vital_signs import VitalSigns

log = Log("start")

_SHORT_TTL: Final = 0.5
_ROUND_TRIPS: Final = 3
"""How many a time to live has to hold: a renewal is sent after a third of it, and has to be back before its end."""

P = TypeVar("P", bound=Part)
N = TypeVar("N", bound=str)


@cache
def _host() -> str:
    return socket.gethostname().encode("ascii", "replace").decode()


class Process:
    """One identity at one server: its calls, its heartbeat, and its parts under each name. It knows no part's class."""

    def __init__(self, address: Address, ttl: float, refusal_grace: float, replicas: int = 0) -> None:
        """Prepare; `start` connects."""
        self.owner: Final = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        """What this process is called on the server; it outlives its sessions there."""
        self.ttl: Final = ttl
        self.loop: Final = asyncio.get_running_loop()
        """The event loop it belongs to."""
        self.tally: Final = Tally()
        """What it counts."""
        self.background: Final = Background()
        self._pid = os.getpid()
        self._parts = Parts(lambda renewable: self.renew(renewable, ttl))
        self._numbers = itertools.count(1)
        self._is_warned = False
        self.closed_by: asyncio.Task[Any] | None = None
        """The task that closes it: None while it is open. It is not cancelled for what it holds itself."""
        origin = Origin(
            self.owner,
            _patience(ttl),
            refusal_grace,
            Refusals(refusal_grace),
            self.tally,
            lambda: self.renew_within(0.0),
            replicas,
        )
        self._links, wires = reach(address, ttl, origin, self._parts)
        self._ticker = Ticker(self._parts, ttl)
        self._heartbeat = Heartbeat(
            wires, ttl, self._ticker.seen, lambda: [part.renewable for part in self._parts.lasting()]
        )

    async def start(self, connect_timeout: float) -> None:
        """Connect, and begin to renew.

        :raises ServerUnavailable: when no server answered within `connect_timeout` seconds.
        :raises ServerRefused: when one answered that cannot be used, as soon as that is certain.
        """
        self._links.start()
        await Opening(self._links).within(connect_timeout)
        self._ticker.start()
        self._heartbeat.start()

    @property
    def where(self) -> str:
        """Which process it is, for people: its id, a space, and its host."""
        return f"{self._pid} {_host()}"

    def vital_signs(self) -> VitalSigns:
        """What shows whether it works; in any thread."""
        now = boottime()
        return VitalSigns(now - self._ticker.seen(), now - self._heartbeat.seen, self._links.unconnected())

    async def close(self) -> None:
        """Give back what is held and disconnect. A cancelled caller waits too; the time is bounded.

        :raises WrongLoop: outside the event loop that opened the session.
        """
        self.check_here()
        self.closed_by = asyncio.current_task()
        closing = asyncio.create_task(self._end(), name="weir-close")
        cancelled = await outlast(closing)
        closing.result()
        if cancelled is not None:
            raise cancelled

    async def _end(self) -> None:
        patience = _patience(self.ttl)
        await self._parts.close(patience)
        await self.background.close(patience)
        await self._ticker.stop()
        await asyncio.to_thread(self._heartbeat.stop)
        await self._links.close()

    # --- what the primitives use --------------------------------------------------------------------------------------

    def part(self, kind: Callable[["Process", N], P], name: N) -> P:
        """This process's part of a kind under a name, made at the first call.

        :raises ConcurrencyError: when the session is closed.
        """
        self.check_open()
        return self._parts.get(lambda: kind(self, name), kind, name)

    def listening(self, word: bytes, name: str, id: str = "") -> AbstractContextManager[Listener]:  # noqa: A002
        """An event that is set by that notification about that name, and when notifications may have been lost.

        :raises WrongLoop: outside the event loop that opened the session.
        """
        self.check_here()
        return self._parts.listening(word, name, id)

    def new_id(self, ttl: float) -> str:
        """An id that nobody else has at the server, with a time to live in seconds."""
        return f"{self.owner}.{next(self._numbers)}.{round(ttl * 1000)}"

    def renew(self, what: Renewable, ttl: float) -> None:
        """Have the heartbeat renew it from now on, a third of this time to live from now at the latest."""
        self._heartbeat.timetable.plan(what, ttl)

    def renew_no_more(self, what: Renewable) -> None:
        """Have the heartbeat forget it: it holds nothing."""
        self._heartbeat.timetable.drop(what)

    def renew_within(self, seconds: float) -> None:
        """Have the heartbeat renew all there is in so many seconds at the latest."""
        self._heartbeat.timetable.all_within(seconds)

    def warn_of_short(self, ttl: float) -> None:
        """Warn, once, of a time to live that a busy machine does not keep, or a server so far away."""
        if self._is_warned:
            return
        round_trip = self._links.calls.run.round_trip
        if ttl < _ROUND_TRIPS * round_trip:
            self._is_warned = True
            log.warning(
                "a time to live below three round trips is lost when a single renewal is late",
                ttl=ttl, round_trip=round(round_trip, 3), better=round(max(_SHORT_TTL, 10 * round_trip), 1),
            )  # fmt: skip
        elif ttl < _SHORT_TTL:
            self._is_warned = True
            log.warning(
                "a short time to live is lost under load: 0.05 s of it are a margin, and it is renewed every third",
                ttl=ttl, better=_SHORT_TTL,
            )  # fmt: skip

    def check_here(self) -> None:
        """Look whether this is the event loop that opened the session.

        :raises WrongLoop: when it is another loop, a thread, or a forked child.
        """
        try:
            if asyncio.get_running_loop() is self.loop:
                return
        except RuntimeError:
            pass
        where = "a forked child" if os.getpid() != self._pid else "another event loop or thread"
        raise WrongLoop(
            f"this session belongs to the event loop that opened it, and this is {where}: open a session here, or from "
            "another thread use asyncio.run_coroutine_threadsafe(coroutine, loop)"
        )

    def check_open(self) -> None:
        """Look whether the session is still open, and used where it belongs.

        :raises ConcurrencyError: when it is closed, WrongLoop outside its event loop.
        """
        # Before every put and get: the usual way without another function.
        try:
            if self.closed_by is None and asyncio.get_running_loop() is self.loop:
                return
        except RuntimeError:
            pass
        self.check_here()
        if self.closed_by is not None:  # looked at here: it is on the way of a reader that costs 3 us in all
            self.check_not_closed()

    def check_not_closed(self) -> None:
        """Look whether the session is still open, in any thread: for what asks nothing of the server.

        :raises ConcurrencyError: when it is closed.
        """
        if self.closed_by is not None:
            raise ConcurrencyError("the session is closed: use its queues inside `async with Session.open(...)`")

    @property
    def calls(self) -> Calls:
        """What is called on any connection: for what is about no name."""
        return self._links.calls

    def calls_of(self, name: str) -> Calling:
        """How parts under a name call the server that serves it; the same object as long as the process lives."""
        return self._links.of(name)

    async def call(self, call: Call) -> Any:
        """Run a script that may be repeated, waiting out an outage.

        :raises ConcurrencyError: when the session is closed, or the server refuses the script.
        """
        self.check_open()
        return await self._links.of(tag_of(call.keys)).insist(call)


def _patience(ttl: float) -> float:
    """For how many seconds a silent server, or the end of what is under way, is waited for."""
    return max(1.0, ttl / 2)
