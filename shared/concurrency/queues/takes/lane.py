"""The lane of takes: settles what is finished and takes what is wanted, in one call at a time.

Rules 4, 6, 7, 9 and 11. The settling half of a call may be repeated (it carries its own number), the taking half
never is: after a lost reply the next call says so, and what was handed out to nobody goes back.
"""

import asyncio
from functools import partial
from typing import Any, ClassVar, Final

from shared.concurrency.errors import QueueShutDown
from shared.concurrency.queues.encoding.entry import RECEIPT
from shared.concurrency.queues.membership.lane import Lane, goes_again
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.takes.demand import Demand, Wish
from shared.concurrency.queues.takes.getters import Getter
from shared.concurrency.queues.takes.handoff import Handoff
from shared.concurrency.queues.takes.portion import Portion
from shared.concurrency.queues.takes.resync import Resync
from shared.concurrency.queues.takes.settlements import LARGE, Settlements, log_refused
from shared.concurrency.session.calls import Call
from shared.concurrency.session.server_errors import Disconnected, Postponed

_AFTER_A_REFUSAL: Final = 0.05
_MANY: Final = 2000
"""Of more than that a resync does not say what is held: the server would have to look at all of it in one call."""


class TakeLane(Lane[Portion]):
    """The settling and taking of one process at one queue."""

    NAME: ClassVar = "weir-takes"

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member)
        self._settle_number = 0
        self.settlements = Settlements()
        """What the next call settles; to be added to by those who do not wait for the answer."""
        self.demand: Final = Demand()
        self._handoff = Handoff(member)
        self._is_urgent = False
        self._resync = Resync(self.resync_needed)
        member.on_over.append(self._session_over)

    # --- what callers use -------------------------------------------------------------------------------------------

    async def take(self, *, may_wait: bool) -> bytes:
        """Wait for one entry. Cancelled: nothing is lost, what arrives goes back.

        :raises QueueEmpty: when there is none and the caller may not wait.
        :raises QueueShutDown: when the queue is shut down and finished.
        """
        getter = Getter(may_wait=may_wait)
        self.demand.getters.add(getter)
        if not may_wait:
            self._is_urgent = True
        self.kick()
        try:
            return await getter.future
        except asyncio.CancelledError:
            if getter.future.done() and not getter.future.cancelled() and getter.future.exception() is None:
                self.give_back(getter.future.result())
            raise

    def settle(
        self, entry: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.settlements.waiting[entry[:RECEIPT]] = future
        self.settle_unheard(entry, kind, value, report, headers=headers, trace=trace)
        return future

    def settle_unheard(
        self, entry: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> None:  # fmt: skip
        """As `settle`; nobody waits for the answer, and a refusal is logged."""
        self.settlements.add(entry, kind, value, report, headers=headers, trace=trace)
        if kind == "ack" and len(entry) > LARGE and self._member.level.needed:
            self.settlements.read_with_its_entry(entry)
        self._is_urgent = True
        self.kick()

    def give_back(self, entry: bytes) -> None:
        """Return an entry, or the receipt of one, that nobody has started."""
        if entry[:RECEIPT] in self._member.held:
            self.settle_unheard(entry, "return")

    def give_back_from_any_thread(self, entry: bytes) -> None:
        """Give back what its owner forgot; garbage is collected in any thread."""
        if not self._loop.is_closed() and not self._closed:
            self._loop.call_soon_threadsafe(self.give_back, entry)

    def resync_needed(self) -> None:
        """Have the next call give back all that this process does not hold."""
        self._resync.doubt()
        self._is_urgent = True
        self.kick()

    def resync_if_called(self) -> None:
        """Resync if this lane has ever called: the server may know deliveries of ours unknown here, or the reverse."""
        if self._flight.number:
            self.resync_needed()

    def set_backpressure(self, *, is_on: bool) -> None:
        """Take nothing while it is on."""
        self.demand.is_backpressured = is_on
        self.kick()

    # --- notifications ----------------------------------------------------------------------------------------------

    def woken(self) -> None:
        """Take note that a put woke this session."""
        self.demand.idle.wake()
        self.kick()

    def handed(self, session_id: str, entry: bytes) -> None:
        """Take note that a put handed this session its message, and woke it."""
        if self._handoff.accept(session_id, entry):
            self.demand.idle.handed()
            if (measured := self._member.registration.load) is not None:
                measured.taken([entry])
            self.demand.getters.hand_out([entry], self.give_back)
        self.kick()

    @property
    def failed(self) -> int:
        """Settlements that the server refused for good and nothing has given back yet."""
        return self._resync.failed

    def _session_over(self) -> None:
        lost, self.settlements = self.settlements, Settlements()
        lost.count(b"all", self._member.calls.tally, self._member.name)
        refused = lost.answer(b"all")
        self._resync.failed = 0
        self._resync.forget()
        self._handoff.forget()
        self.demand.idle.forget()
        self._flight.resolve_flushing()
        self.kick()
        log_refused(self._member.name, refused)

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once where somebody waits for a call, or a wake-up has to be answered; when idle, at the next look."""
        demand, settlements = self.demand, self.settlements
        if self._is_urgent or demand.idle.is_woken or self._handoff.left_behind:
            return 0
        settles = bool(settlements.acks or settlements.others or settlements.returns)
        if settles and self._flight.flushing:
            return 0
        return demand.due(self._loop, settles=settles)

    def is_unsent(self) -> bool:
        """Whether something is to be settled."""
        return bool(self.settlements)

    def compose(self) -> Portion:
        """What is to be settled, as much as one call carries."""
        self.demand.idle.is_woken = self._flight.is_answered = False
        settlements = self.settlements.portion(with_keys=self._member.level.needed > 0)
        self._is_urgent = bool(self.settlements)
        if settlements:
            self._settle_number += 1
        life = self._member.life
        return Portion(life.session_id, life.keys, self._settle_number, settlements)

    async def send(self, call: Portion) -> None:
        """Settle and take; then recover what the answer found overdue."""
        while True:
            try:
                await self._exchange(call)
            except Disconnected:
                self._resync.doubt()
            except Postponed:
                await asyncio.sleep(_AFTER_A_REFUSAL)
            except Exception:
                # A script that failed half-way may have leased us something, or an answer that nobody could read: all
                # that goes back.
                self._resync.doubt()
                raise
            else:
                break
        recovery = self._member.recovery
        if recovery.overdue:
            await recovery.recover(recovery.overdue)
            recovery.overdue = ""
            self.demand.idle.is_woken = True  # there may be something now
        if self._handoff.left_behind:
            await self._handoff.leave_behind()

    def fail(self, call: Portion | None, error: Exception) -> None:
        """Nobody waits for what will not come."""
        self._is_urgent = False
        failed, self.settlements = self.settlements, Settlements()
        for settlements in (failed,) if call is None else (call.settlements, failed):
            # Nobody here settles it any more: a call that is accepted gives it back.
            for receipt in settlements.receipts():
                self._resync.failed += receipt in self._member.held
                self._member.held.pop(receipt, None)
                self._resync.doubt()
            settlements.fail(error)
        if self._closed:
            self._resync.stop()
        elif self._resync.is_needed():
            self._resync.call_later()
        self.demand.getters.end(error)

    async def _exchange(self, portion: Portion) -> None:
        member = self._member
        is_current = portion.session_id == member.life.session_id
        in_parts = is_current and (self._resync.is_much or len(member.held) > _MANY)
        doubts, wish = self._resync.doubts, self.demand.wish(self._resync, is_current=is_current, in_parts=in_parts)
        words = portion.words(
            self.number(),
            wish,
            member.held if is_current else None,
            handed=self._handoff.receipt if is_current else b"",
            is_idle=self.demand.idle.is_registered,
        )
        answered, level = partial(self._take_answer, portion, wish), member.registration.level
        while True:  # as `Level.run`, without a function and a coroutine for each call
            script = level.load("settle_and_take")
            call = Call(script, portion.keys, words, at_reply=answered, is_promise=len(portion.settlements) > 0)
            answer = await member.calls.once(call)
            if not level.moved(script, answer):
                break
        if wish.is_resync and wish.in_parts and wish.named is None:
            await self._read_unknown(portion, doubts)

    async def _read_unknown(self, portion: Portion, doubts: int) -> None:
        """Read what the server leases to this session and it does not hold: the next call gives it back."""
        receipts = await self._member.recovery.receipts(portion.keys)
        if portion.session_id == self._member.session_id:
            held = self._member.held
            self._resync.found([receipt for receipt in receipts if receipt not in held], doubts)
        self._is_urgent = True

    def _take_answer(self, portion: Portion, wish: Wish, answer: list[Any]) -> None:
        if goes_again(answer):
            return
        self._flight.is_answered = True
        # What woke us until now was older than the script that has just run; what comes from here on is news.
        self.demand.idle.is_woken = False
        state, now, refused, entries, look_again, overdue, is_finished, died, has_more_orphans = answer
        if self._resync.answered(wish.doubts, wish.named, has_more_orphans):
            self._is_urgent = True
        member = self._member
        member.look_at_clock()  # this process may have been stopped since it was sent
        if state == b"newer":
            member.level.found_newer()
        is_current = portion.session_id == member.life.session_id
        if is_current:
            for receipt in portion.settlements.receipts():
                member.held.pop(receipt, None)
        portion.settlements.count(refused, self._member.calls.tally, self._member.name)
        stale = portion.settlements.answer(refused)
        if state == b"over":
            member.over(portion.session_id)
        elif is_current:  # else it was handed to a session that is over: recovered, as all it held
            self._take(wish, entries, look_again, now)
            if is_finished:
                self.demand.getters.finish(
                    wish.asked, QueueShutDown("the queue is shut down, and all its messages are done with")
                )
            self.demand.getters.refuse(wish.asked)
            member.recovery.overdue = overdue.decode()
        if stale:
            log_refused(member.name, stale)
        member.recovery.log_dead(died)

    def _take(self, wish: Wish, entries: list[bytes], look_again: int, now: int) -> None:
        self.demand.answered(wish, entries, look_again / 1000, self._loop.time())
        entries = self._handoff.confirmed(entries)
        if (measured := self._member.registration.load) is not None:
            measured.note_clock(now)
            if entries:
                measured.taken(entries)
        self._member.held.update(dict.fromkeys([entry[:RECEIPT] for entry in entries]))
        self.demand.getters.hand_out(entries, self.give_back)
