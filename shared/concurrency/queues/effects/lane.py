"""The lane of acknowledgements that carry effects.

A script of its own, for it needs memory: when that is full the others run on, and these wait.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Final

from shared.concurrency.errors import ConcurrencyError, EffectRefused
from shared.concurrency.queues.effects.acknowledgement import Acknowledgement
from shared.concurrency.queues.effects.effects import Effects, writes_of
from shared.concurrency.queues.effects.forwards import Forwards
from shared.concurrency.queues.effects.packing import (
    MOST,
    Portion,
    check,
    folded,
    forwarded,
    has_moved,
    is_flow,
    pack,
    reason,
    stale,
    take_out,
)
from shared.concurrency.queues.effects.staging import is_much, let_in, stage, unstage
from shared.concurrency.queues.effects.takes import Takes
from shared.concurrency.queues.membership.lane import Lane, goes_again
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Forbidden, OutOfMemory

_AFTER_A_FAILURE: Final = 1.0
_WRITTEN: Final = b"ok "
"""The verdict on an acknowledgement none of whose puts waits."""


class EffectLane(Lane[Portion]):
    """The acknowledgements with effects of one process at one queue, in order."""

    NAME: ClassVar = "weir-effects"

    def __init__(self, member: Membership, takes: Takes) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member)
        self._takes: Final = takes
        self._waiting: deque[Acknowledgement] = deque()
        self._forwards = Forwards(self._measure_backpressure)
        self._alone = 0
        """So many of those that wait go one by one."""
        self.is_backpressured = False
        """Whether nothing is to be taken: too much waits for room elsewhere, or for an answer."""
        member.on_over.append(self._session_over)

    # --- what deliveries use ----------------------------------------------------------------------------------------

    def submit(
        self, receipt: bytes, effects: Effects, outcome: bytes, told: Callable[[Exception | None], bool]
    ) -> None:
        """Acknowledge and write the effects in one step; `outcome` is empty where nobody asked for the result.

        `told` is called with None once they are written, with StaleDelivery where it is no longer ours, or with
        EffectRefused where nothing was written and it is; it says whether somebody settles it then.

        :raises EffectRefused: when a key cannot be written to from here; nothing was sent.
        :raises ConcurrencyError: when the session is closed.
        """
        if self._closed:
            raise ConcurrencyError("the session is closed")
        writes = writes_of(effects)
        check(writes, self._member)
        writes.sealed = True
        self._waiting.append(Acknowledgement(receipt, writes, outcome, told))
        self._measure_backpressure()
        self.kick()

    async def finish(self, patience: float) -> None:
        """Wait until all is answered, then end the lane; after `patience` seconds it ends as it is.

        While the server's memory is full no answer comes: what was not written is given back with all that the session
        holds.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.flush()
        await self.stop()

    async def stop(self) -> None:
        """End the lane; what is not answered yet fails, and nothing forwarded is waited for."""
        await super().stop()
        await self._forwards.stop()

    def _measure_backpressure(self) -> None:
        call = self._flight.call
        sent = len(call.acknowledgements) if call is not None else 0
        unanswered = len(self._waiting) + sent
        waiting = len(self._forwards) + (unanswered if self.pause.is_for_memory else 0)
        is_backpressured = unanswered >= MOST or (waiting > 0 and waiting > self._takes.workers())
        if is_backpressured != self.is_backpressured:
            self.is_backpressured = is_backpressured
            self._takes.backpressure_changed()

    def _session_over(self) -> None:
        self._answer(self._take_waiting(), stale())
        self._flight.resolve_flushing()
        self._measure_backpressure()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once, when there is something to acknowledge; after a call that failed, a second later."""
        return self.pause.left() if self._waiting else None

    def is_unsent(self) -> bool:
        """Whether an acknowledgement waits."""
        return bool(self._waiting)

    def compose(self) -> Portion:
        """As many as one call carries; after one that the ACL forbids, one by one."""
        most = 1 if self._alone else MOST
        self._alone = max(0, self._alone - 1)
        return Portion(self._member.session_id, self._member.keys, take_out(self._waiting, most))

    async def send(self, call: Portion) -> None:
        """Send a portion; the same again while memory is full, for it may be what filled it, and its reply lost."""
        try:
            await self._register_destinations(call)
            if call.acknowledgements:
                await self._send(call)
        except Forbidden as error:
            self._flight.call = None
            self._find_forbidden(call.acknowledgements, error)
        except ConcurrencyError as error:
            self._flight.call = None
            self._fail_portion(call, error)
        self._measure_backpressure()
        for one in call.acknowledgements:
            if one.staged:
                await self._end_staging(one)

    async def _end_staging(self, one: Acknowledgement) -> None:
        staged = one.take_staged()
        await (let_in if one.is_written else unstage)(staged)

    async def _send(self, portion: Portion) -> None:
        for one in portion.acknowledgements:
            if one.writes.destinations and one.may_stage and is_much(one.writes):
                one.staged = await stage(one.writes, self._wait_for_memory)
        if not self._member.registration.is_done:
            await self._member.registration.ready()
        portion.session_id, portion.keys = self._member.session_id, self._member.keys
        number, is_to_go = self.number(), True
        while is_to_go:
            script = load("settle_with_effects", flow=is_flow(self._member, portion))
            more_keys, words = pack(script, portion)
            answered = partial(self._take_answer, portion)
            call = Call(script, portion.keys, (portion.session_id, number, *words), more_keys, answered)
            call = call._replace(is_promise=True)
            try:
                is_to_go = self._member.level.moved(script, await self._member.calls.insist(call))
            except OutOfMemory:
                await self._wait_for_memory()

    async def _wait_for_memory(self) -> None:
        pause = self.pause.memory_is_full()
        self._measure_backpressure()
        await asyncio.sleep(pause)

    async def _register_destinations(self, portion: Portion) -> None:
        """Register at every queue that is put to, so that its bound is known; refuse what cannot be put."""
        for one in list(portion.acknowledgements):
            try:
                for destination in one.writes.destinations:
                    if not destination.member.registration.is_done:
                        await destination.member.registration.ready()
            except ConcurrencyError as error:
                portion.acknowledgements.remove(one)
                self._refuse(one, str(error))

    def _find_forbidden(self, sent: list[Acknowledgement], error: Forbidden) -> None:
        """One key that the ACL forbids stops the whole call: send each alone, and refuse what is forbidden twice.

        Once is not enough: a rule that forbade our own keys may have been changed back before we asked about them.
        """
        if len(sent) == 1 and sent[0].was_forbidden:
            self._refuse(sent[0], str(error))
        else:
            sent[0].was_forbidden = len(sent) == 1
            self._alone = len(sent)
            self._waiting.extendleft(reversed(sent))

    def _fail_portion(self, portion: Portion, error: ConcurrencyError) -> None:
        """It may have failed half-way: what is still ours goes back, as after a lost reply."""
        for one in portion.acknowledgements:
            self._member.held.pop(one.receipt, None)
        self._answer(portion.acknowledgements, error)
        self._takes.resync_needed()
        # What goes back comes again at once, and uncounted, for it was no fault of the message.
        self.pause.begin(_AFTER_A_FAILURE)

    def fail(self, call: Portion | None, error: Exception) -> None:
        """Fail everything that is not answered."""
        unanswered = [*(call.acknowledgements if call is not None else ()), *self._take_waiting()]
        if isinstance(error, ConcurrencyError) and not self._closed:
            self._fail_portion(Portion("", {}, unanswered), error)
        else:
            self._answer(unanswered, error)
        self._measure_backpressure()

    # --- its answers ------------------------------------------------------------------------------------------------

    def _take_answer(self, portion: Portion, answer: list[Any]) -> None:
        if goes_again(answer):
            return
        self.pause.memory_has_room()
        self._flight.call = None
        state, verdicts = answer
        if state == b"over":
            self._answer(portion.acknowledgements, stale())
            self._member.over(portion.session_id)
        else:
            current = portion.session_id == self._member.session_id
            both = zip(portion.acknowledgements, verdicts, strict=True)
            again = [one for one, verdict in both if self._decide(one, verdict, current=current)]
            self._waiting.extendleft(reversed(again))
        self._count(portion, verdicts, is_over=state == b"over")
        self._measure_backpressure()

    def _count(self, portion: Portion, verdicts: list[bytes], *, is_over: bool) -> None:
        tally, name = self._member.calls.tally, self._member.name
        if written := sum(one.is_written for one in portion.acknowledgements):
            tally.add("deliveries_acked", name, written)
        if stale := len(portion.acknowledgements) if is_over else verdicts.count(b"stale"):
            tally.add("stale_deliveries", name, stale)

    def _decide(self, one: Acknowledgement, verdict: bytes, *, current: bool) -> bool:
        """Settle it as the server answered; whether nothing was written and it goes again."""
        if verdict == _WRITTEN and current:  # as nearly always
            self._member.held.pop(one.receipt, None)
            one.is_written = True
            one.answer(None)
            return False
        kind, _, rest = verdict.partition(b" ")
        if kind == b"refused":
            number, _, why = rest.partition(b" ")
            if has_moved(one.writes, int(number), why):
                return True
            self._refuse(one, reason(one.writes, int(number), why.decode()))
            return False
        if kind == b"unstaged":
            # Lost with a session that was over, or by the server: in one call then.
            one.may_stage = False
            return True
        if current:
            self._member.held.pop(one.receipt, None)
        if kind == b"stale":
            one.answer(stale())
            return False
        one.is_written = True
        one.answer(None)
        if rest:
            self._forwards.add(forwarded(one.writes, self._member, rest))
            for fold, destination in folded(one.staged, self._member, rest):
                self._forwards.add_fold(fold, destination)
        return False

    def _refuse(self, one: Acknowledgement, why: str) -> None:
        error = EffectRefused(f"{why}. Nothing was written, and the delivery is not acknowledged")
        one.writes.sealed = False
        if not one.answer(error):
            self._takes.nack(one.receipt, f"EffectRefused: {error}")

    @staticmethod
    def _answer(acknowledgements: Iterable[Acknowledgement], error: Exception) -> None:
        for one in acknowledgements:
            one.answer(error)

    def _take_waiting(self) -> list[Acknowledgement]:
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting
