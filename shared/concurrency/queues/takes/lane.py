"""The lane of takes: settles what is finished and takes what is wanted, in one call at a time.

Rules 4, 6, 7, 9 and 11. The settling half of a call may be repeated (it carries its own number), the taking half
never is: after a lost reply the next call says so, and what was handed out to nobody goes back.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError, QueueShutDown
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.effects.lane import EffectLane
from shared.concurrency.queues.encoding.entry import FIELD
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.results.progress import ProgressLane
from shared.concurrency.queues.takes.getters import Getter, Getters
from shared.concurrency.queues.takes.settlements import Settlements
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("queues")

_MOST_BYTES: Final = 1 << 20
_MOST_WANTED: Final = 1000
_REFUSED_AGAIN_MS: Final = 1000


@dataclass
class _Call:
    session_id: str
    keys: dict[str, bytes]
    settle_number: int
    settlements: Settlements


class TakeLane:
    """The settling and taking of one process at one queue."""

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        self._member = member
        self._script = load("settle_and_take")
        self._number = 0
        self._settle_number = 0
        self.settlements = Settlements()
        """What the next call settles; to be added to by those who do not wait for the answer."""
        self._sent = Settlements()
        self.demand = Getters()
        self.effects: Final = EffectLane(
            member, workers=self.demand.workers, kick=self.kick, nack=self._nack, distrust=self._distrust
        )
        """Where acknowledgements with effects go, by calls of their own."""
        self._progress = ProgressLane(member)
        self._urgent = False
        self._woken = False
        self._handed = b""
        self._idle = False
        self._look_again_at = 0.0
        self._resting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._calling = False
        self._answered = False
        self._lost_reply = False
        self._distrusted = False
        self._overdue = ""
        self._left_behind = ""
        member.on_over.append(self._session_over)

    # --- what callers use -------------------------------------------------------------------------------------------

    async def take(self, *, may_wait: bool) -> bytes:
        """Wait for one entry. Cancelled: nothing is lost, what arrives goes back.

        :raises QueueEmpty: when there is none and we may not wait.
        :raises QueueShutDown: when the queue is shut down and finished.
        """
        getter = Getter(may_wait=may_wait)
        self.demand.add(getter)
        if not may_wait:
            self._urgent = True
        self.kick()
        try:
            return await getter.future
        except asyncio.CancelledError:
            if getter.future.done() and not getter.future.cancelled() and getter.future.exception() is None:
                self.give_back(getter.future.result())
            raise

    def settle(
        self, field: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.settlements.waiting[field] = future
        self.settlements.add(field, kind, value, report, headers=headers, trace=trace)
        self._urgent = True
        self.kick()
        return future

    def apply(self, field: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with effects, and with the outcome where it is asked for; the future fails with StaleDelivery, or with EffectRefused: then it is still ours.

        :raises EffectRefused: when an effect can not be sent.
        """
        return self.effects.submit(field, effects, outcome)

    def say(self, field: bytes, said: bytes) -> None:
        """Tell whoever submitted the message how far it is."""
        self._progress.report(field, said)

    def _nack(self, field: bytes, report: str) -> None:
        """Nobody waits for the answer to an acknowledgement that was refused."""
        if field in self._member.held:
            self.settlements.add(field, "nack", _REFUSED_AGAIN_MS, report)
            self._urgent = True
            self.kick()

    def _distrust(self) -> None:
        """Have the next call give back all that we do not hold."""
        # Not `_lost_reply`: the answer to a call on its way, which says nothing of this, would take it back.
        self._distrusted = self._urgent = True
        self.kick()

    def bury(self, field: bytes, reason: str, report: str) -> None:
        """Make a dead letter of what cannot be read; nobody waits for the answer."""
        self.settlements.add(field, "dead", reason, report)
        self._urgent = True
        self.kick()

    def give_back(self, entry: bytes) -> None:
        """Return an entry that nobody has started."""
        field = entry[:FIELD]
        if field in self._member.held:
            self.settlements.add(field, "return")
            self._urgent = True
            self.kick()

    def give_back_from_any_thread(self, field: bytes) -> None:
        """Give back what its owner forgot; garbage is collected in any thread."""
        if not self._loop.is_closed() and not self._closed:
            self._loop.call_soon_threadsafe(self.give_back, field)

    def kick(self) -> bool:
        """See whether a call is due, and have it sent when the loop turns; tells whether one is."""
        if self._task is None or self._task.done():
            if self._closed:
                return False
            self._task = self._loop.create_task(self._run(), name="weir-takes")
            self._task.add_done_callback(self._ended)
            return True
        if self._resting is None or self._resting.done():
            return self._answered and self._due()
        if self._due():
            self._resting.set_result(None)
            return True
        self._set_timer()
        return False

    async def flush(self) -> None:
        """Wait until everything settled so far is answered."""
        await self.effects.flush()
        while self.settlements or self._calling:
            answered = self._loop.create_future()
            self._flushing.append(answered)
            self._urgent = bool(self.settlements)
            self.kick()
            await answered

    # --- what the session tells us ----------------------------------------------------------------------------------

    def woken(self) -> None:
        """A put woke this session: it is idle no more, and passes the wake-up on when it wants nothing."""
        self._idle = False
        self._woken = True
        self.kick()

    def handed(self, session_id: str, entry: bytes) -> None:
        """A put handed this session its message, and woke it; the next call says that it has arrived."""
        self._member.look_at_clock()  # we may have been stopped since it was sent
        if session_id != self._member.session_id:
            self._left_behind = session_id
            self.kick()
            return
        self._idle = False
        self._handed = entry[:FIELD]
        self._member.held[self._handed] = None
        self.demand.hand_out([entry], self.give_back)
        self.kick()

    def _session_over(self) -> None:
        lost, self.settlements = self.settlements, Settlements()
        self._log_refused(lost.answer(b"all"))
        self._handed = b""
        self._idle = False
        self._woken = False
        self._tell_flushed()
        self.kick()

    async def stop(self) -> None:
        """End the lane; what is not answered yet fails."""
        self._closed = True
        error = ConcurrencyError("the session was closed before the server answered")
        self.demand.end(error)
        await self.effects.stop()
        await self._progress.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.settlements.fail(error)
        self._sent.fail(error)
        self._tell_flushed()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail_all(error)
            self._sent.fail(error)

    def _due(self) -> bool:
        if self._urgent or self._woken or self._left_behind:
            return True
        if self.effects.stuck:
            # Nothing is taken; a registration as idle is called off.
            return self._idle or bool(self.settlements)
        hungry = self.demand.hungry()
        if self.settlements and (hungry or not self.demand.takers):
            return True
        if self._idle and self._loop.time() < self._look_again_at:
            return False
        return hungry or bool(self.demand.getters())

    async def _run(self) -> None:
        while True:
            while not self._due():
                await self._rest()
            self._calling = True
            try:
                if not self._member.registered:
                    await self._member.ready()
                await self._exchange(self._compose())
                if self._overdue:
                    await self._member.recover(self._overdue)
                    self._overdue = ""
                    self._woken = True  # there may be something now
                if self._left_behind:
                    left_behind, self._left_behind = self._left_behind, ""
                    await self._member.leave_behind(left_behind)
            except ConcurrencyError as error:
                self._fail_all(error)
            finally:
                self._calling = self._answered = False
                self._tell_flushed()

    async def _rest(self) -> None:
        """Wait until a call is due; look again when the last reply told us to."""
        self._resting = self._loop.create_future()
        self._set_timer()
        try:
            await self._resting
        finally:
            self._resting = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None and self._idle and self.demand:
            self._timer = self._loop.call_at(self._look_again_at, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.kick()

    def _tell_flushed(self) -> None:
        flushing, self._flushing = self._flushing, []
        for answered in flushing:
            if not answered.done():
                answered.set_result(None)

    def _compose(self) -> _Call:
        self._woken = False
        settlements = self._sent = self.settlements.portion()
        self._urgent = bool(self.settlements)
        if settlements:
            self._settle_number += 1
        return _Call(self._member.session_id, self._member.keys, self._settle_number, settlements)

    async def _exchange(self, call: _Call) -> None:
        while True:
            resync, self._distrusted = self._lost_reply or self._distrusted, False
            try:
                await self._send(call, resync=resync)
            except Disconnected:
                self._lost_reply = True
            except Postponed:
                self._distrusted = resync
                await asyncio.sleep(0.05)
            except ConcurrencyError as error:
                # A step that failed half-way may have leased us something, or not have settled: all that goes back.
                self._lost_reply = True
                for field in call.settlements.fields():
                    self._member.held.pop(field, None)
                call.settlements.fail(error)
                raise
            else:
                return

    async def _send(self, call: _Call, *, resync: bool) -> None:
        self._number += 1
        current = call.session_id == self._member.session_id
        asked = self.demand.getters()
        waiting = sum(getter.may_wait for getter in asked)
        takers = sum(taker.wants() for taker in self.demand.takers)
        want = min(_MOST_WANTED, len(asked) + takers) if current and not self.effects.stuck else 0
        may_idle = 0 if not want else 2 if self.demand.rests() else int(waiting > 0 or takers > 0)
        others = [word for other in call.settlements.others for word in other]
        held = self._member.held if current else {}
        await self._member.call_once(
            self._script,
            call.keys,
            call.session_id,
            self._number,
            call.settle_number,
            len(held),
            b"".join(call.settlements.acks),
            b"".join(call.settlements.returns),
            0 if not resync else 1 if current else 2,
            b"".join(held) if resync else b"",
            self._handed if current else b"",
            want,
            may_idle,
            int(self._idle or resync),
            *others,
            at_reply=partial(self._take_answer, call, want, asked),
        )

    def _take_answer(self, call: _Call, want: int, asked: list[Getter], answer: list[Any]) -> None:
        if answer[0] == b"late":
            raise ConcurrencyError("the server saw a later call of this process: is the owner id used twice?")
        self._answered = True
        # What woke us until now was older than the step that has just run; what comes from here on is news.
        self._woken = False
        state, _, refused, entries, look_again, overdue, ended = answer
        self._lost_reply = False
        current = call.session_id == self._member.session_id
        if current:
            held = self._member.held
            for field in call.settlements.fields():
                held.pop(field, None)
        self._log_refused(call.settlements.answer(refused))
        if state == b"over":
            self._member.over(call.session_id)
            return
        if not current:
            return  # handed to a session that is over: recovered, as all it held
        self._handed, known = b"", self._handed
        waits = any(getter.may_wait for getter in asked) or bool(self.demand.takers)
        self._idle = waits and want > len(entries) and sum(map(len, entries)) < _MOST_BYTES
        self._look_again_at = self._loop.time() + look_again / 1000
        if known:
            # It was handed to us while this call was on its way.
            entries = [entry for entry in entries if not entry.startswith(known)]
        self._member.held.update(dict.fromkeys([entry[:FIELD] for entry in entries]))
        self.demand.hand_out(entries, self.give_back)
        if ended:
            self.demand.end(QueueShutDown("the queue is shut down, and all its messages are done with"))
        self.demand.refuse(asked)
        self._overdue = overdue.decode()

    def _log_refused(self, fields: list[bytes]) -> None:
        for field in fields:
            log.warning(
                "a delivery was not ours any more when it was settled",
                queue=self._member.name,
                key=field[16:38].decode(),
            )

    def _fail_all(self, error: Exception) -> None:
        """The server refuses the step for good: nobody waits for what will not come."""
        self._urgent = False
        failed, self.settlements = self.settlements, Settlements()
        failed.fail(error)
        self.demand.end(error)
