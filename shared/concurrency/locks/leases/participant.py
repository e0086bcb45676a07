"""LeaseParticipant: a process's part in the lease of one name: it asks for holds, waits, renews and releases.

One engine for locks, semaphores and readers-writers leases. A hold is known by an id of its own: asking again, ending
twice and renewals that cross an end do no harm.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.locks.leases.hold import Body, Granted, Hold, Mode
from shared.concurrency.locks.leases.local_readers import LocalReaders
from shared.concurrency.locks.leases.statistics import LeaseStatistics, read_statistics
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.heartbeat import Renewable
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import lease_keys
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("locks")

_NEWS_LASTS: Final = 1.0
_PAUSE: Final = 0.05


class LeaseParticipant:
    """What one session holds and asks for under one name."""

    WORDS: ClassVar[tuple[bytes, ...]] = (b"granted", b"closed")
    """The notifications that it receives."""

    CLOSES: ClassVar = 1
    """After the queues."""

    def __init__(self, process: Process, name: str) -> None:
        """Prepare; the first question talks to the server."""
        self.name = name
        self.keys = lease_keys(name)
        self.holds: dict[str, Hold] = {}
        """What is held and renewed."""
        self.open_until = 0.0
        """Until when new readers may join a read hold without asking: nobody has said that a writer waits."""
        self._process = process
        self._calls = process.calls
        self._asking: dict[str, Hold] = {}
        self._shared: dict[tuple[str, float], LocalReaders] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._acquire, self._release, self._renew = load("acquire"), load("release"), load("renew_holds")

    # --- asking -----------------------------------------------------------------------------------------------------

    async def acquire(self, mode: Mode, kind: str, ttl: float, max_hold: float | None) -> Hold:
        """Wait for a hold. Cancelled: it is withdrawn, in the background; what was granted meanwhile is released.

        :raises ValueError: when the lease is in use as another kind.
        :raises ConcurrencyError: when the server will not have it.
        """
        while True:
            hold = Hold(self._process.new_id(ttl), mode, ttl, self._loop, self._forget)
            self._asking[hold.id] = hold
            try:
                if await self._obtain(hold, kind, max_hold):
                    return hold
            except ValueError:
                raise  # nothing was changed
            except BaseException:
                self._withdraw(hold)
                raise
            finally:
                del self._asking[hold.id]
            # Granted so long ago that it may have expired, for we were stopped meanwhile.
            self._withdraw(hold)

    async def _obtain(self, hold: Hold, kind: str, max_hold: float | None) -> bool:
        while True:
            told = hold.told = self._loop.create_future()
            asked_at, answer = await self._ask(hold, kind)
            received_at = boottime()
            if answer[0] == b"waits":
                _, now, look_again = answer
                again = self._loop.call_later(look_again / 1000, hold.tell, None)
                try:
                    granted = await told
                finally:
                    again.cancel()
                if granted is None:
                    continue
                token, deadline, closed, received_at = granted
            elif answer[0] == b"granted":
                _, now, token, deadline, closed = answer
            else:
                return False
            self._note(closed=bool(int(closed)), asked_at=asked_at)
            # Only an answer to a question that we know to be answered dates the server's clock.
            left = (int(deadline) - int(now)) / 1000
            until = min(asked_at + left, received_at + hold.ttl) - margin(hold.ttl)
            if boottime() >= until:
                return False
            hold.take(int(token), until, max_hold)
            self.holds[hold.id] = hold
            self._process.renew_within(hold.ttl / 3)
            return True

    async def _ask(self, hold: Hold, kind: str) -> tuple[float, list[Any]]:
        while True:
            await self._calls.opened()
            asked_at = boottime()
            try:
                answer = await self._calls.now(
                    Call(self._acquire, self.keys, (hold.id, hold.mode, kind, self._calls.run_id))
                )
            except Disconnected:
                continue  # the next question waits for a connection
            except Postponed:
                await asyncio.sleep(_PAUSE)
                continue
            if answer[0] == b"other":
                raise ValueError(
                    f"the lease {self.name} is in use as {answer[1].decode()}, and here as {kind}: use one kind under a name, or "
                    "wait until nobody holds it or waits for it"
                )
            return asked_at, answer

    async def ask_again(self, hold: Hold, kind: str) -> None:
        """Have the server say whether a writer waits; a hold that is not there any more is lost."""
        asked_at, answer = await self._ask(hold, kind)
        if answer[0] == b"granted" and int(answer[2]) == hold.token:
            self._note(closed=bool(answer[4]), asked_at=asked_at)
        else:
            hold.lose()
            self._withdraw(hold)

    def _note(self, *, closed: bool, asked_at: float) -> None:
        self.open_until = 0.0 if closed else asked_at + _NEWS_LASTS

    def relied_on_by(self, task: "asyncio.Task[object]") -> list[Body]:
        """The bodies of `async with` of this task that hold something here."""
        return [body for hold in self.holds.values() for body in hold.bodies if body.task is task]

    async def statistics(self) -> LeaseStatistics:
        """Ask who holds and who waits."""
        return read_statistics(await self._calls.insist(Call(load("lease_statistics"), self.keys)))

    async def downgrade(self, hold: Hold) -> bool:
        """Turn a write hold into a read hold; False when it is lost."""
        asked_at = boottime()
        what, *news = await self._calls.insist(Call(load("downgrade"), self.keys, (hold.id,)))
        if what != b"downgraded":
            return False
        hold.mode = "r"
        self._note(closed=bool(news[2]), asked_at=asked_at)
        return True

    def shared(self, kind: str, ttl: float) -> LocalReaders:
        """The read hold that this session's readers share."""
        return self._shared.setdefault((kind, ttl), LocalReaders(self, kind, ttl))

    def receive(self, word: bytes, rest: bytes) -> None:
        """Take note of a notification."""
        if word == b"closed":
            self.open_until = 0.0
        elif word == b"granted":
            hold_id, token, deadline, closed = rest.split(b" ")
            hold = self._asking.get(hold_id.decode())
            if hold is not None:
                hold.tell(Granted(int(token), int(deadline), closed == b"1", boottime()))

    @property
    def renewable(self) -> Renewable:
        """The holds."""
        return self

    def tick(self) -> None:
        """Nothing: each hold has a timer of its own."""

    async def connected(self, run_id: str) -> None:
        """Nothing: a question says which run of the server it takes it for."""

    def resync(self) -> None:
        """Ask again: notifications that were sent while the connection was away are lost."""
        for hold in list(self._asking.values()):
            hold.tell(None)

    # --- ending -----------------------------------------------------------------------------------------------------

    async def release(self, hold: Hold) -> bool:
        """End a hold; False when it had been lost. An outage is waited out until its deadline, when the server ends it.

        :raises ConcurrencyError: when the server refuses the step.
        """
        self.holds.pop(hold.id, None)
        left = hold.left
        hold.end()
        try:
            outcome = await self._calls.now(Call(self._release, self.keys, (hold.id, 0)))
        except (Disconnected, Postponed):
            later = self._in_background(self._release_later(hold))
            await asyncio.wait(later, timeout=max(0.0, left))
            return True
        except asyncio.CancelledError:
            self._in_background(self._release_later(hold))
            raise
        return bool(outcome != b"unknown")

    def release_soon(self, hold: Hold) -> None:
        """End a hold in the background."""
        self.holds.pop(hold.id, None)
        hold.end()
        self._in_background(self._release_later(hold))

    def _withdraw(self, hold: Hold) -> None:
        hold.end()
        self._in_background(self._release_later(hold))

    async def _release_later(self, hold: Hold) -> None:
        while True:
            try:
                await self._calls.opened()
                # Our question may still be on its way on a connection that was given up: it must find nothing to do.
                await self._calls.now(Call(self._release, self.keys, (hold.id, 1)))
            except Disconnected:
                continue
            except Postponed:
                await asyncio.sleep(_PAUSE)
            except ConcurrencyError as error:
                log.warning(
                    "a lease could not be released; it ends with its time to live", lease=self.name, problem=str(error)
                )
                return
            else:
                return

    def _in_background(self, work: Coroutine[Any, Any, None]) -> set[asyncio.Task[None]]:
        task = self._loop.create_task(work, name="weir-release")
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return {task}

    def _forget(self, hold: Hold) -> None:
        if self.holds.pop(hold.id, None) is not None:
            log.warning("a lease is lost", lease=self.name, token=hold.token)

    async def close(self, patience: float) -> None:
        """Release all that is held and withdraw what is asked for; gives up after `patience` seconds."""
        held, self.holds = self.holds, {}
        for hold in held.values():
            self.release_soon(hold)
            hold.lose()
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    # --- what the heartbeat asks, in its thread ---------------------------------------------------------------------

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live of what is held."""
        return min((hold.ttl for hold in list(self.holds.values())), default=float("inf"))

    def greeting(self, run_id: str) -> Call | None:  # noqa: ARG002
        """Nothing: a renewal says which run of the server it takes it for."""
        return None

    def renewal(self, run_id: str, loop_idle: float) -> Call | None:
        """What renews all that is held; None when nothing is, or the loop hangs."""
        ids = [hold.id for hold in list(self.holds.values()) if hold.may_be_renewed(loop_idle)]
        return Call(self._renew, self.keys, (run_id, *ids)) if ids else None

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Take note of the answer to a renewal."""
        now, closed, *deadlines = answer
        self._note(closed=bool(closed), asked_at=sent_at)
        for hold_id, deadline in zip(call.arguments[1:], deadlines, strict=True):
            hold = self.holds.get(str(hold_id))
            if hold is None:
                continue  # released meanwhile
            if int(deadline):
                hold.renewed(sent_at + (int(deadline) - int(now)) / 1000 - margin(hold.ttl))
            elif not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._lost_at_server, hold)

    def _lost_at_server(self, hold: Hold) -> None:
        if hold.id in self.holds:
            hold.lose()
