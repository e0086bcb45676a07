"""Asking: how a session asks for the holds of one name, and waits for them."""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from shared.concurrency.errors import LeaseBusy
from shared.concurrency.locks.leases.hold import Hold, Loss, Mode
from shared.concurrency.locks.leases.releasing import Releasing
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.insurance import next_look
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

_ANSWER_LASTS: Final = 1.0
_WRITER_WAITS: Final = 1.0
_PAUSE: Final = 0.05
_LONGEST_TASK: Final = 100


class Granted(NamedTuple):
    """A grant, as its notification says it."""

    token: int
    deadline: int
    """By the server's clock, in ms."""
    closed: bool
    received_at: float


class Asking:
    """Asks for holds, under an id of its own for each: asking again does no harm."""

    def __init__(
        self,
        process: Process,
        name: StoredName,
        keys: dict[str, bytes],
        releasing: Releasing,
        *,
        on_granted: Callable[[Hold], None],
        on_lost: Callable[[Hold, Loss], None],
    ) -> None:
        """Prepare; the first question talks to the server. `on_lost` is given to each hold."""
        self.open_until = 0.0
        """Until when new readers may join a read hold without asking: no writer waited at the last answer."""
        self._closed_since = math.inf
        self.kind = ""
        """The kind of lease by the last answer: a semaphore keeps the limit that is stored."""
        self._last = "", f"{process.where} ".encode()  # the task that asked last, and what the server gets of it
        self._process: Final = process
        self._calls: Final[Calling] = process.calls_of(name)
        self._name = name
        self._keys = keys
        self._releasing = releasing
        self._on_granted = on_granted
        self._on_lost = on_lost
        self._script = load("acquire")
        self._waiters: dict[str, asyncio.Future[Granted | None]] = {}
        """The id of each request that waits -> its grant, or None to ask again."""

    async def acquire(
        self,
        mode: Mode,
        kind: str,
        ttl: float,
        max_hold: float | None,
        *,
        may_wait: bool = True,
        by: str | None = None,
        on_waits: Callable[[], None] | None = None,
    ) -> Hold:
        """Wait for a hold. Cancelled: it is withdrawn, in the background; what was granted meanwhile is released.

        `by`: the name of the task that asks, where another one does it for it. `on_waits` is called whenever it has to
        wait, and may raise.

        :raises LeaseBusy: when it would have to wait, and may not.
        :raises ValueError: when the lease is in use as another kind.
        :raises ConcurrencyError: when the server refuses it.
        """
        waits = self._process.tally.lease_waits
        began = 0.0 if waits is None else boottime()
        with self._process.background.underway:
            while True:
                hold = Hold(self._process.new_id(ttl), mode, ttl, self._on_lost)
                try:
                    if await self._obtain(hold, kind, max_hold, self._who(by), may_wait=may_wait, on_waits=on_waits):
                        if waits is not None:
                            waits[mode].observe(boottime() - began)
                        return hold
                except (LeaseBusy, ValueError):  # nothing was changed
                    if hold.asked_on is not None:  # but may be yet
                        self._releasing.release_soon(hold)
                    raise
                except BaseException:  # also cancelled: the server may have granted it
                    self._releasing.release_soon(hold)
                    raise
                finally:
                    self._waiters.pop(hold.id, None)
                # Granted so long ago that it may have expired, for this process was stopped meanwhile.
                self._releasing.release_soon(hold)

    async def ask_again(self, hold: Hold, kind: str) -> None:
        """Query whether a writer waits; a hold that is not there any more is lost."""
        asked_at, answer = await self._ask(hold, kind, b"", may_wait=False)
        if answer[0] == b"granted" and int(answer[2]) == hold.token:
            self.note(closed=bool(answer[4]), asked_at=asked_at)
        else:
            hold.lose("server forgot it")
            self._releasing.release_soon(hold)

    def _who(self, by: str | None) -> bytes:
        if by is None:
            task = asyncio.current_task()
            by = "" if task is None else task.get_name()
        if by != self._last[0]:
            self._last = by, f"{self._process.where} {by[:_LONGEST_TASK]}".encode(errors="replace")
        return self._last[1]

    def note(self, *, closed: bool, asked_at: float) -> None:
        """Note whether a writer waited when that question was answered."""
        if closed:
            self.close(asked_at)
        else:
            self.open_until = asked_at + _ANSWER_LASTS
            self._closed_since = math.inf

    def close(self, since: float) -> None:
        """Note that a writer waits, since then by the local clock at the latest."""
        self.open_until = 0.0
        self._closed_since = min(self._closed_since, since)

    def is_open_to_children(self, ttl: float) -> bool:
        """Whether no writer has waited for so long that it must come first, before the children of those who read."""
        return boottime() - self._closed_since <= max(_WRITER_WAITS, ttl / 3)

    def granted(self, notification: bytes) -> None:
        """Receive a grant: the hold's id, token, deadline, and 1 when a writer waits."""
        hold_id, token, deadline, closed = notification.split(b" ")
        waiter = self._waiters.get(hold_id.decode())
        if waiter is not None:
            _wake(waiter, Granted(int(token), int(deadline), closed == b"1", boottime()))

    def broken(self, notification: bytes) -> None:
        """Ask again for a hold that was ended by hand before it was taken up here."""
        hold_id = notification.decode(errors="replace")
        if (waiter := self._waiters.get(hold_id)) is not None:
            if waiter.done():
                waiter = self._waiters[hold_id] = self._process.loop.create_future()
            _wake(waiter, None)

    def resync(self) -> None:
        """Ask again for all that is waited for: a grant may have been missed, or the session be closed."""
        for waiter in list(self._waiters.values()):
            _wake(waiter, None)

    async def _obtain(
        self,
        hold: Hold,
        kind: str,
        max_hold: float | None,
        who: bytes,
        *,
        may_wait: bool,
        on_waits: Callable[[], None] | None,
    ) -> bool:
        """Ask until it is granted; False when that was so long ago that it cannot be relied on."""
        began = boottime()
        while True:
            self._process.check_open()
            self._waiters[hold.id] = self._process.loop.create_future()
            asked_at, answer = await self._ask(hold, kind, who, may_wait=may_wait)
            received_at = boottime()
            if answer[0] == b"waits":
                self._process.check_open()  # what a close woke meanwhile was forgotten with the answer
                waiter = self._waiters[hold.id]
                _, now, look_again, *other = answer
                self.kind = other[0].decode() if other else kind
                if on_waits is not None:
                    on_waits()
                seconds = min(look_again / 1000, next_look(received_at - began))
                timer = self._process.loop.call_later(seconds, _wake, waiter, None)
                try:
                    granted = await waiter
                finally:
                    timer.cancel()
                if granted is None or self._waiters[hold.id] is not waiter:  # or it was broken by hand since
                    continue
                token, deadline, closed, received_at = granted
                # Whoever can asks every third: this process was stopped or cut off. The date of a grant by a clock that
                # may have jumped meanwhile is nothing to rely on, and only an answer says how long is left.
                if received_at - asked_at > hold.ttl / 3 + margin(hold.ttl):
                    continue
            elif answer[0] == b"granted":
                if self._waiters[hold.id].done():  # broken by hand since, or a new connection
                    continue
                _, now, token, deadline, closed, *other = answer
                self.kind = other[0].decode() if other else kind
            elif answer[0] == b"busy":
                raise LeaseBusy(f"the lease {self._name.shown} is held, or others wait for it: `acquire` would wait")
            else:
                return False
            self._process.check_open()
            self._closed_since = math.inf  # whoever waited before was in meanwhile
            self.note(closed=bool(int(closed)), asked_at=asked_at)
            # Only an answer to a question that is known to be answered dates the server's clock.
            left = (int(deadline) - int(now)) / 1000
            until = min(asked_at + left, received_at + hold.ttl) - margin(hold.ttl)
            if boottime() >= until:
                return False
            hold.take(int(token), until, max_hold)
            self._on_granted(hold)
            return True

    def _answered(self, hold: Hold, _: list[Any]) -> None:
        """Forget what was said before the answer was read: it is over. A grant that the answer does not know is, too.

        What comes behind it may be read before whoever asked goes on.
        """
        waiter = self._waiters.get(hold.id)
        if waiter is not None and waiter.done():
            self._waiters[hold.id] = self._process.loop.create_future()

    async def _ask(self, hold: Hold, kind: str, who: bytes, *, may_wait: bool) -> tuple[float, list[Any]]:
        dropped = hold.asked_on
        while True:
            await self._calls.opened()
            asked_at = boottime()
            run = self._calls.run.as_told(self._keys["record"])
            arguments = (hold.id, hold.mode, kind, run, self._name.unlike, int(may_wait), who)
            call = Call(self._script, self._keys, arguments, at_reply=partial(self._answered, hold))
            hold.asked_on = self._calls.connection if dropped is None else dropped
            try:
                answer = await self._calls.now(call)
            except Disconnected:
                dropped = hold.asked_on
                continue  # the next question waits for a connection
            except Postponed:
                await asyncio.sleep(_PAUSE)
                continue
            hold.asked_on = dropped
            self._calls.run.told(self._keys["record"])
            if answer[0] == b"other":
                raise ValueError(
                    f"the lease {self._name.shown} is in use as {answer[1].decode()}, and here as {kind}: use one kind under a name, "
                    "or wait until nobody holds it or waits for it"
                )
            return asked_at, answer


def _wake(waiter: "asyncio.Future[Granted | None]", granted: Granted | None) -> None:
    if not waiter.done():
        waiter.set_result(granted)
