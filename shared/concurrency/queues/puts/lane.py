"""The lane of puts: one call in flight, numbered; those that come meanwhile travel together in the next one.

Rules 1 to 5: where there is no room an entry waits in the line on the server; whoever frees room lets it in and tells
us. A repeated number is answered with the stored verdicts, so a lost reply and a retry have one effect.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError, QueueFull
from shared.concurrency.queues.encoding.entry import has_id
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.puts.batch import MOST_BYTES, MOST_ENTRIES, PORTION, Batch, Entry
from shared.concurrency.queues.puts.putters import Putters, conflict, shut_down
from shared.concurrency.session.scripts import load, when_memory_is_full
from shared.concurrency.session.server_errors import OutOfMemory

_LOOK_AGAIN: Final = 1.0
_WITHDRAWAL: Final = 0.5


@dataclass
class _Call:
    """What one call carries; a repetition carries the same."""

    session_id: str
    keys: dict[str, bytes]
    entries: list[Entry] = field(default_factory=list)
    withdrawn: list[Entry] = field(default_factory=list)
    may_wait: bool = True
    again: bool = False


class PutLane:
    """The puts of one process to one queue, in order."""

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        self._member = member
        self._put = load("put")
        self._withdraw = when_memory_is_full(self._put)
        self._owner = member.owner.encode()
        self._sequence = 0
        self._number = 0
        self._waiting: deque[Entry] = deque()
        self._nowaits = 0
        self._line = Putters()
        self._withdrawn: list[Entry] = []
        self._sent: list[Entry] = []
        self._heard = ""
        self._lost_place = False
        self._ask = False
        self._full_memory_pause = 0.0
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        member.on_over.append(self._session_over)

    # --- what callers use -------------------------------------------------------------------------------------------

    def entry(self, middle: bytes, body: bytes) -> Entry:
        """Number an entry; entries must be submitted in this order."""
        self._sequence = number = self._sequence + 1
        return Entry(number, b"%b%010d%b%b" % (self._owner, number, middle, body))

    def submit(self, entries: list[Entry], *, may_wait: bool) -> Batch:
        """Send entries as soon as the lane is free."""
        batch = Batch(entries, self._loop.create_future(), may_wait=may_wait)
        self._waiting.extend(entries)
        self._nowaits += not may_wait
        self._kick()
        return batch

    async def give_up(self, batch: Batch) -> None:
        """Withdraw a batch whose caller was cancelled while it waited; returns within half a second."""
        # The cancellation ended the future too: the withdrawal waits for another one, unless all was decided meanwhile.
        if batch.undecided > 0:
            batch.done = self._loop.create_future()
        await self.withdraw([batch])

    async def withdraw(self, batches: Iterable[Batch]) -> None:
        """Take back what is not in the queue yet; returns when that is decided, after half a second at most."""
        batches = [batch for batch in batches if not batch.done.done()]
        for batch in batches:
            batch.given_up = True
        unsent = {id(entry) for entry in self._waiting if entry.batch.given_up}
        for batch in batches:
            for entry in batch.entries:
                if entry in self._line:
                    self._withdrawn.append(entry)
                elif id(entry) in unsent:
                    batch.decide(admitted=False)
        if unsent:
            self._nowaits -= sum(not batch.may_wait for batch in batches)
            self._waiting = deque(entry for entry in self._waiting if id(entry) not in unsent)
        pending = {batch.done for batch in batches if not batch.done.done()}
        if pending:
            self._kick()
            await asyncio.wait(pending, timeout=_WITHDRAWAL)

    # --- what the session tells us ----------------------------------------------------------------------------------

    def admitted(self, upto: int) -> None:
        """Entries in line up to this sequence number have been let in."""
        self._ask |= self._line.let_in(upto)
        if self._waiting or self._ask:
            self._kick()

    def resync(self) -> None:
        """Ask how far our entries got: the queue was shut down, or we were cut off."""
        if self._line or self._sent:  # the answer that says "in line" may not have been looked at yet
            self._ask = True
            self._kick()

    def _session_over(self) -> None:
        if self._line:
            self._lost_place = True
            self._kick()

    async def stop(self) -> bytes:
        """Stop; what waits fails. Returns the keys to take out of the line."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        keys = b"".join(entry.key for entry in (*self._line, *self._withdrawn, *self._sent))
        self._fail_all(ConcurrencyError("the session was closed while this put was waiting"))
        return keys

    # --- the lane ---------------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="weir-puts")
            self._task.add_done_callback(self._ended)
        else:
            self._kicked.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for a lane that a defect has ended."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        self._line.fail(error)
        for entry in (*self._sent, *self._waiting):
            entry.batch.fail(error)
        self._sent = []
        self._waiting.clear()

    async def _run(self) -> None:
        while True:
            await self._something_to_do()
            await self._pause_if_blocked()
            if not (self._waiting or self._line or self._withdrawn):
                continue
            call = _Call(self._member.session_id, self._member.keys)
            try:
                if not self._member.registered:
                    await self._member.ready()
                call = self._compose()
                self._sent = call.entries
                await self._exchange(call)
            except OutOfMemory:
                self._sent = []
                await self._put_off(call)
            except ConcurrencyError as error:
                self._fail(call, error)

    async def _something_to_do(self) -> None:
        while not (self._waiting or self._line or self._withdrawn):
            self._kicked.clear()
            await self._kicked.wait()

    async def _pause_if_blocked(self) -> None:
        """Wait while there is nothing to send but a look at the line once a second."""
        loop = self._loop
        look_again = loop.time() + _LOOK_AGAIN
        while not (self._withdrawn or self._lost_place or self._ask or self._sendable()):
            self._refuse_nowaits()
            if not (self._waiting or self._line) or loop.time() >= look_again:
                return
            await self._kicked_or(look_again)

    async def _kicked_or(self, until: float) -> None:
        self._kicked.clear()
        handle = self._loop.call_at(until, self._kicked.set)
        await self._kicked.wait()
        handle.cancel()

    def _sendable(self) -> bool:
        """Whether entries may be sent: a process has a bounded number in line (rule 2), refilled in portions."""
        if not self._waiting:
            return False
        places = MOST_ENTRIES - len(self._line)
        return self._line.bytes < MOST_BYTES and (places >= PORTION or places >= len(self._waiting))

    def _refuse_nowaits(self) -> None:
        """A put_nowait behind puts that wait for a place in line finds the queue full: it never overtakes."""
        if not self._nowaits:
            return
        for entry in [entry for entry in self._waiting if not entry.batch.may_wait]:
            self._waiting.remove(entry)
            entry.batch.fail(QueueFull("the queue is full, and puts of this process wait already"))
        self._nowaits = 0

    def _compose(self) -> _Call:
        call = _Call(self._member.session_id, self._member.keys)
        call.withdrawn, self._withdrawn = [entry for entry in self._withdrawn if entry in self._line], []
        self._ask = False
        if self._lost_place:
            # Out of the line and into it again, so that our entries stay in the order of their numbers.
            self._lost_place = False
            call.entries = [entry for entry in self._line if not entry.batch.given_up]
            call.withdrawn = list(self._line)
            call.again = True
        elif self._sendable() and not (call.withdrawn and self._full_memory_pause):
            call.may_wait = self._waiting[0].batch.may_wait
            self._fill(call)
        return call

    def _fill(self, call: _Call) -> None:
        size, places = self._line.bytes, MOST_ENTRIES - len(self._line)
        waiting, entries, may_wait = self._waiting, call.entries, call.may_wait
        while waiting and len(entries) < places:
            entry = waiting[0]
            size += len(entry.tail)
            if entry.batch.may_wait is not may_wait or (size > MOST_BYTES and entries):
                break
            entries.append(waiting.popleft())
        if not may_wait:
            self._nowaits -= len(entries)

    async def _exchange(self, call: _Call) -> None:
        self._number += 1
        tails = [entry.tail for entry in call.entries]
        await self._member.call(
            self._put if call.entries else self._withdraw,
            call.session_id,
            self._number,
            int(call.may_wait),
            int(any(map(has_id, tails))),
            int(call.again),
            self._heard,
            b"".join(entry.key for entry in call.withdrawn),
            *tails,
            keys=call.keys,
            at_reply=partial(self._take_answer, call),
        )

    def _take_answer(self, call: _Call, answer: list[Any]) -> None:
        if answer[0] == b"late":
            raise ConcurrencyError("the server saw a later put of this process: is the owner id used twice?")
        self._full_memory_pause = 0.0
        self._sent = []
        _, _, verdicts, last, conflicts, shut, live = answer
        self._heard = conflicts.decode()
        if verdicts == [b"a", len(call.entries)] and not call.again:
            _admit_all(call.entries)
        else:
            self._decide_each(call, verdicts, last, shut=bool(shut))
        self._ask |= self._line.answered(last, {key.encode() for key in self._heard.split()})
        if shut:
            self._line.fail(shut_down())
        if self._line and call.session_id != self._member.session_id:
            self._lost_place = True  # the session ended while this answer was on its way
        if not live:
            self._member.over(call.session_id)

    def _decide_each(self, call: _Call, verdicts: list[Any], last: int, *, shut: bool) -> None:
        letters = iter([letter for letter, n in zip(verdicts[::2], verdicts[1::2], strict=True) for _ in range(n)])
        for entry, letter in zip(call.withdrawn, letters, strict=False):
            # Sent once more in the same call: what it says of the entry counts.
            if (entry.batch.given_up or not call.again) and self._line.discard(entry):
                entry.batch.decide(admitted=letter == b"x" and entry.sequence <= last)
        for entry, letter in zip(call.entries, letters, strict=True):
            self._decide(entry, letter, shut=shut)

    def _decide(self, entry: Entry, letter: bytes, *, shut: bool) -> None:
        if letter in (b"q", b"o"):
            self._line.add(entry)
            entry.batch.is_new = None
            self._lost_place |= letter == b"o"
            if entry.batch.given_up:
                self._withdrawn.append(entry)
            return
        self._line.discard(entry)
        if letter in (b"a", b"k"):
            if letter == b"k":
                entry.batch.is_new = False
            entry.batch.decide(admitted=True)
        elif letter == b"c":
            entry.batch.fail(conflict())
        else:
            entry.batch.fail(shut_down() if shut else QueueFull("the queue is full: `put` would wait for room"))

    async def _put_off(self, call: _Call) -> None:
        """The server's memory is full: a put waits as it waits for room; put_nowait does not."""
        self._withdrawn[:0] = call.withdrawn if not call.again else []
        self._lost_place |= call.again
        if not call.may_wait:
            for entry in call.entries:
                entry.batch.fail(QueueFull("the server's memory is full"))
        elif not call.again:
            for entry in call.entries:
                if entry.batch.given_up:
                    entry.batch.decide(admitted=False)
            self._waiting.extendleft(entry for entry in reversed(call.entries) if not entry.batch.given_up)
        self._full_memory_pause = min(1.0, self._full_memory_pause * 2 or 0.05)
        until = self._loop.time() + self._full_memory_pause
        while not self._withdrawn and self._loop.time() < until:  # a withdrawal takes no memory
            await self._kicked_or(until)

    def _fail(self, call: _Call, error: ConcurrencyError) -> None:
        """The server refuses the step for good: nobody waits for what will not come."""
        self._sent = []
        self._withdrawn.clear()
        unsent = [] if call.entries or self._line else list(self._waiting)
        self._line.fail(error)
        for entry in (*call.entries, *unsent):
            entry.batch.fail(error)
        for entry in unsent:
            self._waiting.remove(entry)


def _admit_all(entries: list[Entry]) -> None:
    """Decide for all, none of which was in line: the usual answer, so without a function for each."""
    for entry in entries:
        batch = entry.batch
        batch.admitted += 1
        batch.undecided -= 1
        if batch.undecided <= 0 and not batch.done.done():
            batch.done.set_result(None)
