"""LeaseParticipant: a process's part in the lease of one name.

One engine for locks, semaphores and readers-writers leases. A hold is known by an id of its own: asking again, ending
twice and renewals that cross an end do no harm.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Concatenate, Final, ParamSpec
from weakref import ref

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.locks.leases.asking import Asking
from shared.concurrency.locks.leases.hold import Hold, Loss
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.local_readers import LocalReaders
from shared.concurrency.locks.leases.releasing import Releasing
from shared.concurrency.locks.leases.statistics import LeaseStatistics, read_statistics
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load

log = Log("locks")

_AT_ONCE: Final = 250
"""So many holds are renewed, or broken, by one call: that takes the server a few milliseconds."""

A = ParamSpec("A")


class LeaseParticipant:
    """What one session holds and asks for under one name; it is there while somebody uses that name."""

    WORDS: ClassVar[tuple[bytes, ...]] = (b"granted", b"closed", b"broken")
    """The notifications that it receives."""

    CLOSES: ClassVar = 1
    """After the queues."""

    LASTS: ClassVar = False

    def __init__(self, process: Process, name: StoredName) -> None:
        """Prepare; the first question talks to the server."""
        self.name = name.shown
        self.stored_name: Final = name
        """What keys and notifications call it."""
        self.keys = lease_keys(name)
        self.holds: dict[str, Hold] = {}
        """What is held and renewed."""
        here = ref(self)
        self.releasing = Releasing(
            process, self.name, self.keys, self.holds, on_none_left=_weak(here, LeaseParticipant._rest)
        )
        self.asking = Asking(
            process,
            name,
            self.keys,
            self.releasing,
            on_granted=_weak(here, LeaseParticipant._keep),
            on_lost=_weak(here, LeaseParticipant._forget),
        )
        self._process = process
        self._calls: Final = process.calls_of(name)
        self.inside: dict[asyncio.Task[object], Tenure] = {}
        self._local_readers: dict[tuple[str, float], LocalReaders] = {}
        self._renew = load("renew_holds")

    # --- what locks use ---------------------------------------------------------------------------------------------

    def relied_on_by(self, task: "asyncio.Task[object]") -> list[Tenure]:
        """The bodies of `async with` of this task that hold something here."""
        found: list[Tenure] = []
        body = self.inside.get(task)
        while body is not None:
            if body in body.hold.bodies and body.hold.id in self.holds:
                found.append(body)
            body = body.below
        return found

    def local_readers(self, kind: str, ttl: float) -> LocalReaders:
        """The read hold that this session's readers share."""
        return self._local_readers.setdefault((kind, ttl), LocalReaders(self.asking, self.releasing, kind, ttl))

    def check_here(self) -> None:
        """Look whether this is the event loop of the session.

        :raises WrongLoop: when it is another loop, a thread, or a forked child.
        """
        self._process.check_here()

    async def downgrade(self, hold: Hold) -> bool:
        """Turn a write hold into a read hold; False when it is lost. Cancelled: it goes on in the background."""
        # First of all: however this ends, nobody here writes beside those whom the server lets in.
        hold.mode = "r"
        downgrade = hold.downgrade
        if downgrade is None or (downgrade.done() and (downgrade.cancelled() or downgrade.exception())):
            downgrade = hold.downgrade = self._process.background.start(self._downgrade(hold), name="weir-downgrade")
        await asyncio.wait({downgrade})
        if downgrade.cancelled():
            raise ConcurrencyError("the session was closed before the server answered")
        return downgrade.result()

    async def _downgrade(self, hold: Hold) -> bool:
        asked_at = boottime()
        what, *state = await self._calls.insist(Call(load("downgrade"), self.keys, (hold.id,), says_run=True))
        if what != b"downgraded":
            return False
        self.asking.note(closed=bool(state[2]), asked_at=asked_at)
        if state[3]:
            self.releasing.let_in()
        return True

    async def resize(self, limit: int, seen: str | int) -> int:
        """Change the number of permits, unless somebody has since it was `seen`; empty to ask how often they have.

        :raises ValueError: when the name is in use as another kind of lease.
        """
        arguments = (limit, self.stored_name.unlike, seen)
        answer = await self._process.call(Call(load("resize_permits"), self.keys, arguments, says_run=True))
        if not isinstance(answer, int):
            problem = f"the lease {self.name} is in use as {answer.decode()}, and is no semaphore"
            raise ValueError(problem)  # noqa: TRY004  # not its type is wrong, but what is at the server
        return answer

    async def statistics(self) -> LeaseStatistics:
        """Query who holds and who waits; thousands in several calls.

        :raises ConcurrencyError: when the session is closed, or the server refuses the script.
        """
        script = load("lease_statistics")
        return await read_statistics(lambda start: self._process.call(Call(script, self.keys, (start,))))

    async def end(self, holds: Sequence[str]) -> list[str]:
        """End holds by hand, whosever they are; return those that were there. Thousands take several calls.

        :raises ConcurrencyError: as `statistics`.
        """
        ended: list[bytes] = []
        for portion in _portions(holds):
            arguments = (self._calls.run_id, *portion)
            ended += await self._process.call(Call(load("break_lease"), self.keys, arguments))
        return [hold.decode() for hold in ended]

    def _keep(self, hold: Hold) -> None:
        self.holds[hold.id] = hold
        self._process.renew(self, hold.ttl)

    def _rest(self) -> None:
        self._process.renew_no_more(self)

    def _forget(self, hold: Hold, why: Loss) -> None:
        if self.holds.pop(hold.id, None) is not None:
            if not self.holds:
                self._rest()
            if why != "session closed":
                self._process.tally.add("lease_lost", hold.mode)
            log.warning("lease lost", lease=self.name, token=hold.token, mode=hold.mode, reason=why)

    # --- what the session calls -------------------------------------------------------------------------------------

    def receive(self, word: bytes, rest: bytes) -> None:
        """Receive a notification."""
        if word == b"closed":
            self.asking.close(boottime())
        elif word == b"granted":
            self.asking.granted(rest)
        elif word == b"broken":
            if (hold := self.holds.get(rest.decode(errors="replace"))) is not None:
                hold.lose("broken by hand")
            else:
                self.asking.broken(rest)

    def resync(self) -> None:
        """Ask again: notifications that were sent while the connection was away are lost."""
        self.asking.resync()

    async def close(self, patience: float) -> None:  # noqa: ARG002  # the session waits for them
        """Release what is held, and have those who wait withdraw what they asked for."""
        self.asking.resync()
        for hold in list(self.holds.values()):
            self.releasing.release_soon(hold)
            hold.lose("session closed", self._process.closed_by)

    # --- what the heartbeat calls, in its thread --------------------------------------------------------------------

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live of what is held, in seconds; infinite when nothing is."""
        return min((hold.ttl for hold in list(self.holds.values())), default=float("inf"))

    def greeting(self, run_id: str) -> Call | None:  # noqa: ARG002
        """Return None: a renewal says which run of the server it takes it for."""
        return None

    def renewals(self, run_id: str, loop_idle: float) -> Sequence[Call]:
        """What renews all that is held; none when nothing is, or the loop hangs."""
        ids = [hold.id for hold in list(self.holds.values()) if hold.may_be_renewed(loop_idle)]
        return [Call(self._renew, self.keys, (run_id, *portion)) for portion in _portions(ids)]

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Receive the answer to a renewal."""
        now, closed, *deadlines = answer
        self.asking.note(closed=bool(closed), asked_at=sent_at)
        for hold_id, deadline in zip(call.arguments[1:], deadlines, strict=True):
            hold = self.holds.get(str(hold_id))
            if hold is None:
                continue  # released meanwhile
            if int(deadline):
                hold.renewed(sent_at + (int(deadline) - int(now)) / 1000 - margin(hold.ttl))
            elif not self._process.loop.is_closed():
                self._process.loop.call_soon_threadsafe(self._lost_at_server, hold)

    def _lost_at_server(self, hold: Hold) -> None:
        if hold.id in self.holds:
            hold.lose("server forgot it")


def _portions(holds: Sequence[str]) -> list[Sequence[str]]:
    return [holds[first : first + _AT_ONCE] for first in range(0, len(holds), _AT_ONCE)]


def _weak(
    reference: "ref[LeaseParticipant]", method: Callable[Concatenate[LeaseParticipant, A], None]
) -> Callable[A, None]:
    """A method that keeps its object from nothing: in a circle, a name at rest would stay until the next collection."""

    def call(*arguments: A.args, **options: A.kwargs) -> None:
        if (found := reference()) is not None:
            method(found, *arguments, **options)

    return call
