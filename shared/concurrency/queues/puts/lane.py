"""The lane of puts. Rules 1 to 5: an entry that finds no room waits at the server; whoever frees room admits it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError, QueueFull
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.puts.batch import MOST_BYTES, MOST_ENTRIES, PORTION, Batch, OutgoingEntry
from shared.concurrency.queues.puts.putters import KnownInLine, Putters, shut_down
from shared.concurrency.queues.puts.verdicts import Portion, admit_all, decide_each
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load, when_memory_is_full
from shared.concurrency.session.server_errors import OutOfMemory

_LOOK_AGAIN: Final = 1.0
_WITHDRAWAL: Final = 0.5


class PutLane(Lane[Portion]):
    """The puts of one process to one queue, in order."""

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member, "weir-puts")
        self._put = load("put")
        self._withdraw = when_memory_is_full(self._put)
        self._owner = member.owner.encode()
        self._sequence = 0
        self._waiting: deque[OutgoingEntry] = deque()
        self._nowaits = 0
        self._putters = Putters()
        self._withdrawn: list[OutgoingEntry] = []
        self._conflicts = ""
        """Known ids in line that we were told of: the next call says so, and the server forgets them."""
        self._lost_place = False
        self._ask = False
        self._look_at = 0.0
        member.on_over.append(self._session_over)

    # --- what callers use -------------------------------------------------------------------------------------------

    def entry(self, middle: bytes, body: bytes) -> OutgoingEntry:
        """Number an entry; entries must be submitted in this order."""
        self._sequence = number = self._sequence + 1
        return OutgoingEntry(number, b"%b%010d%b%b" % (self._owner, number, middle, body))

    def submit(self, entries: list[OutgoingEntry], *, may_wait: bool) -> Batch:
        """Send entries as soon as the lane is free."""
        batch = Batch(entries, self._loop.create_future(), may_wait=may_wait)
        self._waiting.extend(entries)
        self._nowaits += not may_wait
        self.kick()
        return batch

    async def withdraw_cancelled(self, batch: Batch) -> None:
        """Withdraw a batch whose caller was cancelled while it waited; returns within half a second."""
        # The cancellation ended the future too: the withdrawal waits for another one, unless all was decided meanwhile.
        if batch.undecided > 0:
            batch.done = self._loop.create_future()
        await self.withdraw([batch])

    async def withdraw(self, batches: Iterable[Batch]) -> None:
        """Take back what is not in the queue yet; returns when that is decided, after half a second at most."""
        batches = [batch for batch in batches if not batch.done.done()]
        for batch in batches:
            batch.withdrawn = True
        unsent = {id(entry) for entry in self._waiting if entry.batch.withdrawn}
        for batch in batches:
            for entry in batch.entries:
                if entry in self._putters:
                    self._withdrawn.append(entry)
                elif id(entry) in unsent:
                    batch.decide(admitted=False)
        if unsent:
            self._nowaits -= sum(not batch.may_wait for batch in batches)
            self._waiting = deque(entry for entry in self._waiting if id(entry) not in unsent)
        pending = {batch.done for batch in batches if not batch.done.done()}
        if pending:
            self.kick()
            await asyncio.wait(pending, timeout=_WITHDRAWAL)

    async def leave(self) -> bytes:
        """End the lane; what waits fails. Returns the keys of what may still wait at the server."""
        sent = self._call.entries if self._call is not None else []
        keys = b"".join(entry.key for entry in (*self._putters, *self._withdrawn, *sent))
        await self.stop()
        return keys

    # --- what the session tells us ----------------------------------------------------------------------------------

    def admitted(self, upto: int) -> None:
        """Entries up to this number that waited at the server have been admitted."""
        self._ask |= self._putters.admit(upto)
        if self._waiting or self._ask:
            self.kick()

    def resync(self) -> None:
        """Ask how far our entries got: the queue was shut down, or we were cut off."""
        if self._putters or self._call is not None:  # the answer that says "it waits" may not have been looked at yet
            self._ask = True
            self.kick()

    def _session_over(self) -> None:
        if self._putters:
            self._lost_place = True
            self.kick()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once for what may be sent, once a second for a look. A full memory lets withdrawals pass."""
        if self._withdrawn:
            return 0
        if not (self._waiting or self._putters):
            return None
        if paused := self.paused_for():
            return paused
        if self._lost_place or self._ask or self._sendable():
            return 0
        self._refuse_nowaits()
        if not (self._waiting or self._putters):
            return None
        return max(0, self._look_at - self._loop.time())

    def is_unsent(self) -> bool:
        """Whether a put or a withdrawal waits for a call."""
        return bool(self._waiting or self._withdrawn)

    def _sendable(self) -> bool:
        """Whether entries may be sent: so many of a process wait at the server (rule 2), refilled in portions."""
        if not self._waiting:
            return False
        places = MOST_ENTRIES - len(self._putters)
        return self._putters.bytes < MOST_BYTES and (places >= PORTION or places >= len(self._waiting))

    def _refuse_nowaits(self) -> None:
        """A put_nowait behind puts that wait here finds the queue full: it never overtakes."""
        if not self._nowaits:
            return
        for entry in [entry for entry in self._waiting if not entry.batch.may_wait]:
            self._waiting.remove(entry)
            entry.batch.fail(QueueFull("the queue is full, and puts of this process wait already"))
        self._nowaits = 0

    def compose(self) -> Portion:
        """Withdrawals, and as many entries as may wait at the server."""
        portion = Portion(self._member.session_id)
        portion.withdrawn, self._withdrawn = [entry for entry in self._withdrawn if entry in self._putters], []
        self._ask = False
        if self._lost_place:
            # Withdrawn and put again, so that our entries stay in the order of their numbers.
            self._lost_place = False
            portion.entries = [entry for entry in self._putters if not entry.batch.withdrawn]
            portion.withdrawn = list(self._putters)
            portion.again = True
        elif self._sendable() and not (portion.withdrawn and self._memory_pause):
            portion.may_wait = self._waiting[0].batch.may_wait
            self._fill(portion)
        return portion

    def _fill(self, portion: Portion) -> None:
        size, places = self._putters.bytes, MOST_ENTRIES - len(self._putters)
        waiting, entries, may_wait = self._waiting, portion.entries, portion.may_wait
        while waiting and len(entries) < places:
            entry = waiting[0]
            size += len(entry.packed)
            if entry.batch.may_wait is not may_wait or (size > MOST_BYTES and entries):
                break
            entries.append(waiting.popleft())
        if not may_wait:
            self._nowaits -= len(entries)

    async def send(self, call: Portion) -> None:
        """Send a portion. What the server refuses for good fails; what its memory has no room for waits."""
        script = self._put if call.entries else self._withdraw
        words = call.words(self.number(), self._conflicts)
        once = Call(script, self._member.keys, words, at_reply=partial(self._take_answer, call))
        try:
            await self._member.calls.insist(once)
        except OutOfMemory:
            self._put_off(call)
        except ConcurrencyError as error:
            self._refuse(call, error)
        self._look_at = self._loop.time() + _LOOK_AGAIN

    def _take_answer(self, portion: Portion, answer: list[Any]) -> None:
        if answer[0] == b"late":
            raise ConcurrencyError("the server saw a later put of this process: is the owner id used twice?")
        self.memory_has_room()
        self._call = None
        _, _, verdicts, last, conflicts, shut, live = answer
        self._conflicts = conflicts.decode()
        known = KnownInLine(self._conflicts)
        if verdicts == [b"a", len(portion.entries)] and not portion.again:
            admit_all(portion.entries)
        else:
            aftermath = decide_each(portion, self._putters, verdicts, last, known, shut=bool(shut))
            self._lost_place |= aftermath.lost_place
            self._withdrawn += aftermath.withdrawn
        self._ask |= self._putters.answered(last, known)
        if shut:
            self._putters.fail(shut_down())
        if self._putters and portion.session_id != self._member.session_id:
            self._lost_place = True  # the session ended while this answer was on its way
        if not live:
            self._member.over(portion.session_id)

    def _put_off(self, portion: Portion) -> None:
        """The server's memory is full: a put waits as it waits for room; put_nowait does not."""
        self._call = None
        self._withdrawn[:0] = portion.withdrawn if not portion.again else []
        self._lost_place |= portion.again
        if not portion.may_wait:
            for entry in portion.entries:
                entry.batch.fail(QueueFull("the server's memory is full"))
        elif not portion.again:
            for entry in portion.entries:
                if entry.batch.withdrawn:
                    entry.batch.decide(admitted=False)
            self._waiting.extendleft(entry for entry in reversed(portion.entries) if not entry.batch.withdrawn)
        self.pause(self.memory_is_full())

    def _refuse(self, portion: Portion, error: ConcurrencyError) -> None:
        """The server refuses a portion for good: what it carried fails. Without entries, what waits behind it fails."""
        self._call = None
        self._withdrawn.clear()
        unsent = [] if portion.entries or self._putters else list(self._waiting)
        self._putters.fail(error)
        for entry in (*portion.entries, *unsent):
            entry.batch.fail(error)
        for entry in unsent:
            self._waiting.remove(entry)

    def fail(self, call: Portion | None, error: Exception) -> None:
        """Fail every put that waits."""
        self._withdrawn.clear()
        self._putters.fail(error)
        for entry in (*(call.entries if call is not None else ()), *self._waiting):
            entry.batch.fail(error)
        self._waiting.clear()
        self._nowaits = 0
