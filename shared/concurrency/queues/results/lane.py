"""ResultLane: what this process has submitted to one queue and waits for; and the calls that go with it.

A script tells us each outcome as it comes about. The lane beside it, one call in flight, forgets on the server what was
heard, gives up what nobody wants any more, and asks for what a broken connection may have swallowed.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError, ResultLost
from shared.concurrency.queues.encoding.entry import KEY
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.results.future import ResultFuture
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.scripts import load

_LOOK_AGAIN: Final = 1.0
_MOST_LOOKED_AT: Final = 300
"""Keys that one look of insurance asks for."""
_MOST: Final = 1000
"""Keys of each kind in one call."""
_ENOUGH: Final = 250
"""Outcomes heard that are worth a call of their own."""

RESULT_NEWS: Final = (b"result", b"progress")
"""What a script tells a submitter."""

Future = ResultFuture[Any]


@dataclass
class _Call:
    """What one call carries; all of it may be repeated."""

    heard: list[bytes]
    unwanted: list[bytes]
    wanted: list[bytes]
    ids: "list[tuple[str, asyncio.Future[bytes | None]]]"
    gap: float
    sent_at: float = field(default_factory=boottime)


class ResultLane:
    """The results that one process waits for at one queue."""

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        self._member = member
        self._script = load("results")
        self._waiting: dict[bytes, Future] = {}
        self._attached: dict[bytes, list[Future]] = {}
        """Futures of messages that another submission under the same id put: nobody tells us, so we look."""
        self._heard: list[bytes] = []
        self._unwanted: list[bytes] = []
        self._asked: dict[bytes, None] = {}
        self._ids: list[tuple[str, asyncio.Future[bytes | None]]] = []
        self._contact = boottime()
        self._gap = 0.0
        self._look_at = 0.0
        self._calling = False
        self._rests = True
        """Whether the lane does not even look at the clock."""
        self._closed = False
        self._flushing: list[asyncio.Future[None]] = []
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    # --- what submit uses -------------------------------------------------------------------------------------------

    def expect(self, future: Future) -> None:
        """Wait for the outcome of a message that is about to be put."""
        if not (self._waiting or self._attached):
            self._contact = boottime()
        self._waiting[future.key] = future
        future.add_done_callback(self._ended)
        if self._rests:
            self._look_at = self._loop.time() + _LOOK_AGAIN
            self._kick()

    async def key_of(self, id_: str) -> bytes | None:
        """Under which key the message with this id was submitted; empty when nobody asked for its result, None when unknown."""
        answer: asyncio.Future[bytes | None] = self._loop.create_future()
        self._ids.append((id_, answer))
        self._kick()
        return await answer

    def attach(self, future: Future, key: bytes) -> None:
        """Wait for the outcome of another submission under the same id."""
        self._waiting.pop(future.key, None)
        future.key = key
        future.admitted = False  # it is not ours to give up
        self._attached.setdefault(key, []).append(future)
        self._ask([key])

    def _ended(self, future: Future) -> None:
        if self._waiting.get(future.key) is future:
            del self._waiting[future.key]
        elif future in self._attached.get(future.key, ()):
            self._attached[future.key].remove(future)
            if not self._attached[future.key]:
                del self._attached[future.key]
        if future.cancelled() and future.admitted and not future.answered:
            self._unwanted.append(future.key)
            self._forget(future)
            self._kick()

    def _forget(self, future: Future) -> None:
        # Under an id it stays as long as it is stated: somebody may submit that again.
        if not future.has_id:
            self._heard.append(future.key)

    # --- what the session tells us ----------------------------------------------------------------------------------

    def receive(self, word: bytes, rest: bytes) -> None:
        """Take note of an outcome, which is empty when it is too large to be told, or of how far a handler is."""
        key, said = rest[:KEY], rest[KEY:]
        future = self._waiting.get(key)
        if word == b"progress":
            if future is not None:
                future.hear_progress(said)
        elif said:
            self._hear(key, said)
        elif future is not None:
            self._ask([key])

    def resync(self) -> None:
        """Ask for all that we wait for: what a script told us while we were cut off is lost."""
        self._gap = max(self._gap, boottime() - self._contact)
        self._ask([*self._waiting, *self._attached])

    def _hear(self, key: bytes, outcome: bytes) -> None:
        own = self._waiting.get(key)
        if own is not None:
            if not own.answered:
                self._forget(own)
            own.hear(outcome)
            if len(self._heard) >= _ENOUGH:
                self._kick()
        for future in self._attached.get(key, ()):
            future.hear(outcome)

    def _ask(self, keys: Iterable[bytes]) -> None:
        self._asked.update(dict.fromkeys(keys))
        if self._asked:
            self._kick()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        if self._closed:
            return
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run(), name="weir-results")
            self._task.add_done_callback(self._lane_ended)
        else:
            self._kicked.set()

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for a lane that a defect has ended."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._rests = True
            self._fail_all(error)
            self._tell_flushed()

    async def flush(self) -> None:
        """Wait until the server knows what was heard and what is given up."""
        while self._heard or self._unwanted or self._calling:
            answered = self._loop.create_future()
            self._flushing.append(answered)
            self._kick()
            await answered

    async def stop(self) -> None:
        """End the lane; what waits fails."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._fail_all(ConcurrencyError("the session was closed while this result was waited for"))

    def _fail_all(self, error: Exception) -> None:
        everybody = [*self._waiting.values(), *(one for several in self._attached.values() for one in several)]
        for future in (*everybody, *(answer for _, answer in self._ids)):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever has gone does not look
        self._waiting.clear()
        self._attached.clear()
        self._ids.clear()

    def _urgent(self) -> bool:
        return bool(self._unwanted or self._asked or self._ids or self._flushing or len(self._heard) >= _ENOUGH)

    async def _run(self) -> None:
        while True:
            while not (self._urgent() or self._due()):
                await self._rest()
            call = self._compose()
            self._calling = True
            try:
                if not self._member.registered:
                    await self._member.ready()
                await self._member.call(
                    self._script,
                    b"".join(call.heard),
                    b"".join(call.unwanted),
                    b"".join(call.wanted),
                    *(id_ for id_, _ in call.ids),
                    at_reply=partial(self._take_answer, call),
                )
            except ConcurrencyError as error:
                self._ids[:0] = call.ids
                self._fail_all(error)
            finally:
                self._calling = False
            self._look_at = self._loop.time() + _LOOK_AGAIN
            self._tell_flushed()

    def _tell_flushed(self) -> None:
        flushing, self._flushing = self._flushing, []
        for answered in flushing:
            if not answered.done():
                answered.set_result(None)

    async def _rest(self) -> None:
        """Wait until somebody wants something; look again once a second while there is something to look for."""
        self._kicked.clear()
        self._rests = not self._has_something()
        handle = None if self._rests else self._loop.call_at(self._look_at, self._kicked.set)
        await self._kicked.wait()
        self._rests = False
        if handle is not None:
            handle.cancel()

    def _has_something(self) -> bool:
        return bool(self._waiting or self._attached or self._heard)

    def _due(self) -> bool:
        """Whether it is time for a look of insurance."""
        return self._has_something() and self._loop.time() >= self._look_at

    def _compose(self) -> _Call:
        if not self._asked and self._due():
            # Those that were put first are looked at first, then the next ones.
            for key in list(islice(self._waiting, _MOST_LOOKED_AT)):
                self._waiting[key] = self._waiting.pop(key)
                self._asked[key] = None
            self._asked.update(dict.fromkeys(self._attached))
        call = _Call(
            self._heard[:_MOST], self._unwanted[:_MOST], list(islice(self._asked, _MOST)), self._ids[:_MOST], self._gap
        )
        del self._heard[:_MOST], self._unwanted[:_MOST], self._ids[:_MOST]
        for key in call.wanted:
            del self._asked[key]
        if not self._asked:
            self._gap = 0.0
        return call

    def _take_answer(self, call: _Call, answer: list[Any]) -> None:
        looked, found, keys = answer
        if call.wanted:
            self._contact = max(self._contact, call.sent_at)
        for at in range(0, len(found), 2):
            self._hear(found[at], found[at + 1])
        self._asked.update(dict.fromkeys(call.wanted[looked:]))
        if call.wanted[looked:]:
            self._gap = max(self._gap, call.gap)
        for key in call.wanted[:looked] if call.gap else ():
            self._look_whether_lost(key, call.gap)
        for (_, wanted), key in zip(call.ids, keys, strict=True):
            if not wanted.done():
                wanted.set_result(None if key == 0 else key[:KEY])

    def _look_whether_lost(self, key: bytes, gap: float) -> None:
        """Fail where the result may have come and gone while we were cut off, for it is not there."""
        own = self._waiting.get(key)
        for future in [*([own] if own is not None and own.admitted else ()), *self._attached.get(key, ())]:
            if gap > future.kept_for and not future.done():
                future.set_exception(
                    ResultLost(
                        f"this process was cut off from the server for {gap:.0f} s, and a result is kept for "
                        f"{future.kept_for:g} s: it may have come and gone. Submit the message again, or ask for a longer results_for"
                    )
                )
