"""A process's part in one queue: its session there, when it ends, and what it holds."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from weakref import ref

from shared.concurrency.queues.membership.level import Level
from shared.concurrency.queues.membership.life import Life
from shared.concurrency.queues.membership.recovery import Recovery
from shared.concurrency.queues.membership.registration import Registration
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import Script, load

log = Log("queues")

_SHORTEST_HANG: Final = 10.0


class Holding(Protocol):
    """What a session holds in a queue, and must know when it is lost."""

    @property
    def receipt(self) -> bytes:
        """What names it on the server."""

    def lose(self) -> None:
        """Take note that the session is over."""

    def stop(self) -> None:
        """Take note that the message was cancelled."""


class Membership:
    """One session after the other of one process in one queue; `registration.ready` has the queue know them.

    A session that passed its deadline is over for ever (rule 8): the process goes on under a new id.
    """

    def __init__(self, calls: Calling, owner: str, ttl: float, name: str) -> None:
        """Prepare; nothing is registered yet."""
        self.name = name
        self.owner: Final = owner
        self.calls: Final = calls
        self.run_id = ""
        self.held: dict[bytes, Holding | ref[Holding] | None] = {}
        """Receipts of the deliveries of this process that no answer has settled yet; None while nobody has started
        them, a weak reference where the holder may be forgotten."""
        self.on_over: list[Callable[[], None]] = []
        """Called when a session is over, after what it held was lost."""
        self.on_forgotten: list[Callable[[], None]] = []
        """Called when the server has forgotten the queue: its data is lost, or somebody has deleted it."""
        self.draining: Final = asyncio.Event()
        """Set when this process, a consumer service, is asked to drain."""
        self.registration: Final = Registration(self, calls)
        self.recovery: Final = Recovery(self)
        self._epoch = b""
        self._loop = asyncio.get_running_loop()
        self.life = Life.first(name, owner, ttl)
        """The session that there is now. A field: every message asks for it, some of them several times."""

    @property
    def session_id(self) -> str:
        """How the queue calls the session that there is now."""
        return self.life.session_id

    @property
    def keys(self) -> dict[str, bytes]:
        """The keys of the queue, by what the scripts call them."""
        return self.life.keys

    @property
    def level(self) -> Level:
        """The protocol level of the queue, and which scripts go with it."""
        return self.registration.level

    def need_level(self, level: int) -> None:
        """Have the queue need this protocol level before the next call; said before what needs it is submitted."""
        self.registration.need_level(level)

    def hold(self, holding: Holding) -> None:
        """Keep it until it is settled; it is lost at once if the session is over already, or stopped if cancelled."""
        if holding.receipt not in self.held:
            holding.lose()
            return
        was_stopped = self.held[holding.receipt] is not None
        self.held[holding.receipt] = ref(holding)
        if was_stopped:
            holding.stop()

    # --- what the heartbeat asks, in its thread ---------------------------------------------------------------------

    @property
    def stored_name(self) -> str:
        """As its keys hold it."""
        return self.name

    @property
    def shortest_ttl(self) -> float:
        """The session's time to live, once the queue knows the session."""
        return math.inf if self.life.is_fresh else self.life.ttl

    def greeting(self, run_id: str) -> Call:
        """Tell the queue which run of the server this is."""
        return Call(load("announce"), self.keys, (run_id, ""), at_reply=self._announced)

    def _announced(self, answer: list[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._begin_anew, answer[0])

    def renewals(self, run_id: str, loop_idle: float) -> Sequence[Call]:  # noqa: ARG002
        """Renew the session that is registered, unless the loop hangs."""
        life = self.life
        hang_after = max(3 * life.ttl, _SHORTEST_HANG)
        if loop_idle > hang_after:
            log.error("the event loop hangs: sessions are no longer renewed", queue=self.name, seconds=hang_after)
            return ()
        # Of one life throughout: the loop may end it and begin the next while this thread asks.
        if life.is_fresh:
            return ()
        measured = self.registration.load
        words = "" if measured is None else measured.words()
        return (Call(load("renew"), life.keys, (life.session_id, words)),)

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Take note of the answer to a renewal."""
        life = self.life
        session_id = str(call.arguments[0])
        is_live, now, deadline, drain = answer
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            if drain:
                self._loop.call_soon_threadsafe(self.draining.set)
            if not is_live:
                self._loop.call_soon_threadsafe(self.over, session_id)
        if is_live and session_id == life.session_id:
            life.renewed(sent_at, (deadline - now) / 1000)

    # --- the end of a session -----------------------------------------------------------------------------------------

    def look_at_clock(self) -> None:
        """End the session when its deadline has passed."""
        life = self.life
        if boottime() > life.deadline:
            self.over(life.session_id)

    def over(self, session_id: str) -> None:
        """End this session, unless it has ended: what it holds is lost, and a new one begins."""
        if session_id != self.session_id or self.life.is_left:
            return
        self.calls.tally.add("sessions_lost", self.name)
        lost, self.held = self.held, {}
        self.life = self.life.next(len(lost))
        self.registration.is_done = False
        _lose_all(lost)
        for react in self.on_over:
            react()
        log.warning(
            "the session passed its deadline; going on as a new one",
            queue=self.name, session=session_id, new=self.session_id, lost=len(lost),
        )  # fmt: skip

    def learn(self, epoch: bytes) -> None:
        """Take note of when the queue became known to the server: another time says that it was forgotten since."""
        before, self._epoch = self._epoch, epoch
        if before not in (b"", epoch):
            self.calls.tally.add("queues_forgotten", self.name)
            log.error("the server has forgotten this queue: what was in it is gone", queue=self.name)
            for react in self.on_forgotten:
                react()

    def _begin_anew(self, epoch: bytes) -> None:
        """Learn it; a session that the server has forgotten is over."""
        before = self._epoch
        self.learn(epoch)
        if before not in (b"", epoch) and not self.life.is_fresh:
            self.over(self.session_id)

    async def call(
        self,
        name: str,
        *arguments: bytes | str | int,
        keys: Mapping[str, bytes] | None = None,
        more_keys: Sequence[bytes] = (),
        at_reply: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run the script of this name, which may be repeated, waiting out an outage; `more_keys`, `at_reply`: see Call.

        :raises ConcurrencyError: when the server refuses it for good, or its memory is full.
        """

        def send(script: Script) -> Awaitable[Any]:
            return self.calls.insist(Call(script, keys or self.keys, arguments, more_keys, at_reply))

        return await self.level.run(name, send)

    async def announce(self) -> int:
        """Tell the queue which run of the server this is; on a connection that is not open to others yet.

        Returns the number of this process's last call of puts that the queue knows.
        """
        epoch, number = await self.calls.now(Call(load("announce"), self.keys, (self.run_id, self.owner)))
        self._begin_anew(epoch)
        return int(number)

    async def leave(self, withdrawn: bytes) -> None:
        """Give back what the session holds and end it."""
        lost, self.held = self.held, {}
        _lose_all(lost)
        await self.registration.settled()
        self.life.is_left = True
        if not self.life.is_fresh or withdrawn:
            await self.recovery.leave(self.session_id, withdrawn)

    async def stop(self) -> None:
        """End what is under way."""
        await self.registration.stop()


def _lose_all(held: dict[bytes, Holding | ref[Holding] | None]) -> None:
    for holder in held.values():
        holding = holder() if isinstance(holder, ref) else holder
        if holding is not None:
            holding.lose()
