"""The lane of puts. Rules 1 to 5: an entry that finds no room waits at the server; whoever frees room admits it."""

import asyncio
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, ClassVar, Final

from shared.concurrency.errors import ConcurrencyError, QueueFull
from shared.concurrency.queues.encoding.entry import keys_in
from shared.concurrency.queues.membership.lane import Lane, goes_again
from shared.concurrency.queues.membership.level import NewerQueue
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.puts.account import PutAccount
from shared.concurrency.queues.puts.batch import MOST_BYTES, Batch, OutgoingEntry
from shared.concurrency.queues.puts.inquiry import run_or_inquire
from shared.concurrency.queues.puts.look import Look, look_along
from shared.concurrency.queues.puts.numbering import Numbering
from shared.concurrency.queues.puts.putters import Putters, shut_down, was_shut_down
from shared.concurrency.queues.puts.turns import Turns
from shared.concurrency.queues.puts.verdicts import Portion, admit_all, decide_each
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import when_memory_is_full
from shared.concurrency.session.server_errors import OutOfMemory

PUT_WORDS: Final = (b"admitted", b"let_in", b"shutdown")
"""The notifications that this lane receives."""
_WITHDRAWAL: Final = 0.5
_PUTS_WAIT: Final = "the queue is full, and puts of this process wait already"


class PutLane(Lane[Portion]):
    """The puts of one process to one queue, in order."""

    NAME: ClassVar = "weir-puts"

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member)
        self.numbering: Final = Numbering(member.owner)
        """Entries must be submitted in the order in which it made them."""
        self.answered = 0
        """The number of the last call that was answered."""
        self._unsent = Turns(member.registration.level)
        self._putters = Putters()
        self._account = PutAccount(member, self._putters)
        self._look = Look()
        member.on_over.append(self.lose_place)

    # --- what callers use -------------------------------------------------------------------------------------------

    def submit(self, entries: list[OutgoingEntry], *, may_wait: bool) -> Batch:
        """Send entries as soon as the lane is free."""
        batch = Batch(entries, self._loop.create_future(), may_wait=may_wait)
        account = self._account  # asked here: each put would pay for a call
        if account.spans is not None:
            account.spans.begins(batch)  # first: with a trace its entries grow
        self._unsent.add(batch)
        if (waits := account.tally.put_waits) is not None:
            account.begins(batch, waits)
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
            self._putters.withdrawn += [entry for entry in batch.entries if entry in self._putters]
            self._unsent.give_up(batch)
        pending = {batch.done for batch in batches if not batch.done.done()}
        if pending:
            self.kick()
            await asyncio.wait(pending, timeout=_WITHDRAWAL)

    async def leave(self) -> bytes:
        """End the lane; what waits fails. Returns the keys of what may still wait, or be remembered, at the server."""
        call, putters = self._flight.call, self._putters
        sent, confirmed = (call.entries, call.confirmed) if call is not None else ([], [])
        waiting = [entry.key for entry in (*putters, *putters.withdrawn, *sent)]
        keys = b"".join([*waiting, *confirmed, *putters.let_in.unconfirmed])
        await self.stop()
        return keys

    # --- notifications ----------------------------------------------------------------------------------------------

    def admitted(self, upto: int) -> None:
        """Entries up to this number that waited at the server have been admitted."""
        self._look.asks |= self._putters.admit(upto)
        self._account.count()
        if self._unsent or self._look.asks:
            self.kick()

    def receive(self, word: bytes, rest: bytes) -> None:
        """Take note of one of PUT_WORDS."""
        if word != b"shutdown" and self._member.calls.replicas:
            self.resync()  # who admitted it promised us nothing: the look does
        elif word == b"admitted":
            self.admitted(int(rest))
        elif word == b"let_in":
            self.let_in(rest)
        else:
            self.shut_down()

    def let_in(self, keys: bytes) -> None:
        """Entries with these keys, joined, have been admitted out of the order of their numbers."""
        is_under_way = self._flight.call is not None
        self._look.asks |= self._putters.admit_keys(keys_in(keys), is_under_way=is_under_way)
        self.kick()

    def shut_down(self) -> None:
        """The queue was shut down, though it may be open again: nobody who waited then gets in."""
        for entry in self._unsent.take_all():
            entry.batch.fail(was_shut_down())
        self.resync()

    def resync(self) -> None:
        """Look which of our entries are still in line, and how far the others got."""
        # A call that is in flight counts: the answer that says "it waits" may not have been looked at yet.
        if self._putters or self._flight.call is not None:
            self._putters.resync_needed()
            self._look.must_find = True
            self.kick()

    def server_came_back(self) -> None:
        """Put again what waited: another run of the server may have older data, and what it told us may not be so."""
        self._putters.forget_what_was_told()
        self.lose_place()

    def lose_place(self) -> None:
        """Put again what waited at the server under a session that is over."""
        if self._putters:
            self._look.lost_place = True
            self.kick()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once for what may be sent, later for a look of insurance. A full memory lets withdrawals pass."""
        unsent, putters = self._unsent, self._putters
        if putters.withdrawn or putters.let_in.unconfirmed:
            return 0
        if not (unsent.count or putters.entries):
            return None
        if self.pause.until and (paused := self.pause.left()):
            return paused
        look = self._look
        if look.lost_place or look.asks or look.must_find or not putters.entries or self._fits():
            return 0
        if unsent.count:
            self._refuse_nowaits()
        return max(0, look.at - self._loop.time())

    def is_unsent(self) -> bool:
        """Whether a put or a withdrawal waits for a call."""
        return bool(self._unsent.count or self._putters.withdrawn)

    def _fits(self) -> bool:
        """Whether entries may be sent: so many of a process wait at the server (rule 2), refilled in portions."""
        putters = self._putters
        return self._unsent.fits(len(putters.entries), putters.of_flow) and putters.bytes < MOST_BYTES

    def _refuse_nowaits(self) -> None:
        """A put_nowait behind puts that wait here finds the queue full: it never overtakes."""
        for entry in self._unsent.take_nowaits():
            entry.batch.fail(QueueFull(_PUTS_WAIT))

    def compose(self) -> Portion:
        """Withdrawals, and as many entries as may wait at the server."""
        portion = Portion(self._member.life.session_id, self._member.run_id)
        look, putters = self._look, self._putters
        look.begin(portion, putters, self._loop)
        if putters.withdrawn:
            portion.withdrawn, putters.withdrawn = [entry for entry in putters.withdrawn if entry in putters], []
        if putters.let_in.unconfirmed:
            portion.confirmed, putters.let_in.unconfirmed = putters.let_in.unconfirmed, []
        if look.lost_place:
            # All of them: from the first that is in line no more on they get new places, in the order of their numbers.
            look.lost_place = False
            portion.entries = [entry for entry in putters if not entry.batch.withdrawn]
            portion.withdrawn = [entry for entry in putters if entry.batch.withdrawn]
            portion.again = True
        elif self._fits() and not ((portion.withdrawn or portion.confirmed) and self.pause.is_for_memory):
            most_bytes = MOST_BYTES - putters.bytes
            portion.entries = self._unsent.take(most_bytes, len(putters.entries), putters.of_flow)
            portion.may_wait = portion.entries[0].batch.may_wait
        return portion

    async def send(self, call: Portion) -> None:
        """Send a portion. What the server refuses for good fails; what its memory has no room for waits."""
        try:
            if call.is_look:
                call.missing = await look_along(self._member, self._putters)
            await self._exchange(call)
        except OutOfMemory:
            if not call.again:
                self._putters.withdrawn[:0] = call.withdrawn
            self._putters.let_in.unconfirmed += call.confirmed
            self._put_off(call)
        except NewerQueue as error:
            # Nothing has changed: what was to leave the line does so with the next call.
            self._flight.call = None
            self._putters.withdrawn[:0] = [*call.withdrawn, *call.entries]
            self._putters.let_in.unconfirmed += call.confirmed
            for entry in call.entries:
                entry.batch.fail(error)
        except ConcurrencyError as error:
            self._refuse(call, error)
        if self._putters.entries:  # else there is nothing to look for
            self._look.ended(call, self._loop.time())

    async def _exchange(self, portion: Portion) -> None:
        number, refused = self.number(), self._putters.refused
        member = self._member

        def is_outdated() -> bool:
            # What waited before comes first, and may be in line no more.
            return bool(self._putters.entries) and member.run_id != portion.run_id

        def inquiry() -> Call:
            # Without entries it needs no memory, and adds nothing.
            words = portion.words(number, refused, with_entries=False)
            return call._replace(script=_withdraw(script), arguments=words)

        level, answered = member.registration.level, partial(self._take_answer, portion)
        while True:  # as `Level.run`, without a function and a coroutine for each call
            script, words = level.load("put"), portion.words(number, refused)
            chosen = script if portion.entries else _withdraw(script)
            call = Call(chosen, member.life.keys, words, at_reply=answered, is_promise=True)
            if not level.moved(script, await run_or_inquire(member.calls, call, inquiry, is_outdated)):
                break

    def _take_answer(self, portion: Portion, answer: list[Any]) -> None:
        if goes_again(answer):
            return
        self.pause.memory_has_room()
        self._flight.call = None
        self.answered = self._flight.number
        _, _, verdicts, last, refused, shut, live = answer
        # An inquiry carries no entries: its verdicts are on what was withdrawn alone.
        if verdicts == [b"a", len(portion.entries)] and not (portion.again or portion.withdrawn):
            admit_all(portion)
            admitted = len(portion.entries)
        else:
            if sum(verdicts[1::2]) < len(portion.withdrawn) + len(portion.entries):
                self._put_off(portion)
                portion.entries = []
            aftermath = decide_each(portion, self._putters, verdicts, last)
            admitted = aftermath.admitted
            self._look.lost_place |= aftermath.lost_place
            self._putters.withdrawn += aftermath.withdrawn
            self._unsent.put_back(aftermath.unsent)
        self._account.log(portion.entries, again=portion.again)
        self._look.asks |= self._putters.answered(last, refused)
        self._account.count(admitted)
        if shut:
            self._look.lost_place |= self._putters.shut_out(shut_down())
        if self._putters.entries and portion.session_id != self._member.life.session_id:
            self._look.lost_place = True  # the session ended while this answer was on its way
        if not live:
            self._member.over(portion.session_id)
        if portion.missing and self._putters.holds_any(portion.missing):
            self._look.lost_place = True  # whatever took it out, it was not admitted: it waits again

    def _put_off(self, portion: Portion) -> None:
        """The server's memory is full: a put waits as it waits for room; put_nowait does not."""
        self._flight.call = None
        if portion.again:
            self._look.lost_place = True
        elif portion.may_wait:
            for entry in portion.entries:
                if entry.batch.withdrawn:
                    entry.batch.decide(admitted=False)
            self._unsent.put_back([entry for entry in portion.entries if not entry.batch.withdrawn])
        else:
            for entry in portion.entries:
                entry.batch.fail(QueueFull(_PUTS_WAIT if self._look.lost_place else "the server's memory is full"))
        self.pause.begin(self.pause.memory_is_full())

    def _refuse(self, portion: Portion, error: ConcurrencyError) -> None:
        """The server refuses a portion for good: what it carried fails. Without entries, what waits behind it fails."""
        self._flight.call = None
        self._putters.withdrawn.clear()
        unsent = [] if portion.entries or self._putters else self._unsent.take_all()
        self._putters.fail(error)
        for entry in (*portion.entries, *unsent):
            entry.batch.fail(error)

    def fail(self, call: Portion | None, error: Exception) -> None:
        """Fail every put that waits."""
        self._putters.withdrawn.clear()
        self._putters.fail(error)
        for entry in (*(call.entries if call is not None else ()), *self._unsent.take_all()):
            entry.batch.fail(error)


_withdraw: Final = cache(when_memory_is_full)
"""The script for a call without entries."""
