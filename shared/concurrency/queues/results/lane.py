"""The lane of results. A script notifies a submitter of each outcome as it comes about.

The calls beside that forget at the server what was received, cancel what nobody wants any more, and ask for what a
broken connection may have swallowed.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Final

from shared.concurrency.queues.encoding.entry import KEY, keys_in
from shared.concurrency.queues.encoding.results import outcomes_in
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.results.future import Submission
from shared.concurrency.queues.results.waiting import Waiting
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.futures import reject
from shared.concurrency.session.scripts import load

_LOOK_AGAIN: Final = 1.0
_MOST: Final = 1000
"""Keys of each kind in one call."""
_MOST_IN_LINE: Final = 500
"""Keys that one look along the line takes."""
_ENOUGH: Final = 250
"""Outcomes received that are worth a call of their own."""

RESULT_WORDS: Final = (b"results", b"progress")
"""The notifications that a submitter receives."""


@dataclass(slots=True)
class Portion:
    """What one call carries; all of it may be repeated."""

    received: list[bytes]
    unwanted: list[bytes]
    asked: list[bytes]
    revived: "list[tuple[str, asyncio.Future[bytes | None]]]"
    listened: "list[tuple[str, asyncio.Future[bytes | None]]]"
    gap: float
    sent_at: float = field(default_factory=boottime)


@dataclass(slots=True)
class Ids:
    """Ids whose message is looked up, and who waits for its key."""

    revived: "list[tuple[str, asyncio.Future[bytes | None]]]" = field(default_factory=list)
    """Submitted again: a message that its submitter has cancelled is wanted again."""
    listened: "list[tuple[str, asyncio.Future[bytes | None]]]" = field(default_factory=list)
    """Only looked at."""

    def __bool__(self) -> bool:
        return bool(self.revived or self.listened)


@dataclass(slots=True)
class Contact:
    """Since when notifications may have been missed."""

    at: float = field(default_factory=boottime)
    """When the server was asked last for all that is waited for, or nothing was: by the local boot-time clock."""
    gap: float = 0.0
    """For how many seconds notifications may have been missed that are not asked for again yet."""

    def broke(self) -> None:
        """The connection was away: what was sent meanwhile did not arrive."""
        self.gap = max(self.gap, boottime() - self.at)


class ResultLane(Lane[Portion]):
    """The results that one process waits for at one queue."""

    NAME: ClassVar = "weir-results"

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member)
        self._waiting = Waiting(self.kick)
        self._ids = Ids()
        self._contact = Contact()
        self._look_at = 0.0
        self._is_in_doubt = False
        """Whether another run of the server may lack messages, and nobody has looked yet."""
        member.on_forgotten.append(self._forgotten)

    # --- what submit uses -------------------------------------------------------------------------------------------

    def expect(self, submission: Submission) -> None:
        """Wait for the outcome of a message that is about to be put."""
        if not self._waiting:
            self._contact.at = boottime()
            if not self._waiting.received:
                self._look_at = self._loop.time() + _LOOK_AGAIN
        self._waiting.expect(submission)
        if not self._rest.has_timer:
            self.kick()

    async def key_of(self, id_: str) -> bytes | None:
        """Look up the key under which the message with this id was submitted; it is wanted again.

        Empty when it was put without asking for its result, None when the id is unknown.
        """
        return await self._look_up(id_, self._ids.revived)

    async def existing_key_of(self, id_: str) -> bytes | None:
        """As `key_of`, and change nothing. None, too, when the time of the id is over and there is no outcome."""
        return await self._look_up(id_, self._ids.listened)

    async def _look_up(self, id_: str, ids: "list[tuple[str, asyncio.Future[bytes | None]]]") -> bytes | None:
        answer: asyncio.Future[bytes | None] = self._loop.create_future()
        ids.append((id_, answer))
        self.kick()
        return await answer

    async def listen(self, submission: Submission, since: float) -> None:
        """Wait for the outcome of a message of any process; returns when the server was asked for it once.

        `since`: when the server was asked for its key, by the local boot-time clock.
        """
        if not self._waiting:
            self._contact.at = boottime()
        submission.looked = self._loop.create_future()
        self._waiting.listen(submission, since)
        await submission.looked

    def attach(self, submission: Submission, key: bytes, since: float) -> None:
        """Wait for the outcome of another submission under the same id; `since` as `listen`."""
        self._waiting.attach(submission, key, since)

    # --- notifications ----------------------------------------------------------------------------------------------

    def receive(self, word: bytes, rest: bytes) -> None:
        """Take outcomes, each of which is empty when it is too large for that, or note how far a handler is."""
        waiting = self._waiting
        if word == b"progress":
            waiting.receive_progress(rest[:KEY], rest[KEY:])
            return
        for key, outcome in outcomes_in(rest):
            if outcome:
                waiting.receive(key, outcome)
            else:
                waiting.ask_for_told(key)
        if len(waiting.received) >= _ENOUGH:
            self.kick()

    def resync(self) -> None:
        """Ask for all that we wait for: notifications that were sent while we were cut off are lost."""
        self._contact.broke()
        self._waiting.ask_for_all()

    def server_came_back(self) -> None:
        """Take note that another run of the server answers, which may lack messages: `look_back` finds out which."""
        self._is_in_doubt = True
        self._waiting.forget_what_was_told()

    async def look_back(self, known: int | None) -> None:
        """Fail those whose messages the server has lost; on a connection that need not be open to others yet.

        `known`: the last call of puts that it knows, None where it knows none any more. What cannot be looked for is
        looked for on the next connection.

        :raises ConnectionError, ResponseError: as any call.
        """
        if self._is_in_doubt and known is not None:
            await self._look_along_the_line()
        if known is not None:
            self._waiting.lose_after(known)
        if self._is_in_doubt:
            self._look_for_attached()
            self._is_in_doubt = False

    async def _look_along_the_line(self) -> None:
        """Fail those whose messages were in, and wait for room again.

        Nobody would tell us of their end there: a shutdown, or that of their session.
        """
        keys, member = self._waiting.went_in(), self._member
        portions = (tuple(keys[first : first + _MOST_IN_LINE]) for first in range(0, len(keys), _MOST_IN_LINE))
        # At once: a network that is slow enough would not let us through many.
        looks = [member.calls.now(Call(load("onward"), member.keys, portion)) for portion in portions]
        for there in await asyncio.gather(*looks):
            self._waiting.lose_in_line(keys_in(there))

    def _look_for_attached(self) -> None:
        """Fail those that wait for a message of another process that the server has lost."""
        for submission in self._waiting.attached():
            known: asyncio.Future[bytes | None] = self._loop.create_future()
            known.add_done_callback(partial(self._look_at_attached, submission))
            # A listener revives nothing.
            ids = self._ids.revived if submission.looked is None else self._ids.listened
            ids.append((submission.future.id, known))
        self.kick()

    def _look_at_attached(self, submission: Submission, known: asyncio.Future[bytes | None]) -> None:
        if not known.cancelled() and known.exception() is None:
            self._waiting.lose_unless_known(submission, known.result())

    def _forgotten(self) -> None:
        self._waiting.lose_all()

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once for what somebody wants; a second after the last call for the rest, and for a look of insurance."""
        waiting = self._waiting
        if waiting.unwanted or waiting.asked or self._ids or self._flight.flushing or len(waiting.received) >= _ENOUGH:
            return 0
        if not (waiting or waiting.received):
            return None
        return max(0, self._look_at - self._loop.time())

    def is_unsent(self) -> bool:
        """Whether the server does not know yet what was received, or is unwanted."""
        return bool(self._waiting.received or self._waiting.unwanted)

    def compose(self) -> Portion:
        """A portion of each; at a look of insurance some of what is waited for is asked for."""
        waiting = self._waiting
        if not waiting.asked and self._loop.time() >= self._look_at:
            waiting.ask_for_the_next()
        portion = Portion(
            waiting.received[:_MOST],
            waiting.unwanted[:_MOST],
            list(islice(waiting.asked, _MOST)),
            self._ids.revived[:_MOST],
            self._ids.listened[:_MOST],
            self._contact.gap,
        )
        del waiting.received[:_MOST], waiting.unwanted[:_MOST], self._ids.revived[:_MOST], self._ids.listened[:_MOST]
        for key in portion.asked:
            del waiting.asked[key]
        if not waiting.asked:
            self._contact.gap = 0.0
        return portion

    async def send(self, call: Portion) -> None:
        """Send a portion."""
        words: tuple[bytes | str, ...] = (
            *(b"".join(keys) for keys in (call.received, call.unwanted, call.asked)),
            str(len(call.revived)),
            *(id_ for id_, _ in (*call.revived, *call.listened)),
        )
        await self._member.calls.insist(
            Call(load("results"), self._member.keys, words, at_reply=partial(self._take_answer, call))
        )
        self._look_at = self._loop.time() + _LOOK_AGAIN

    def _take_answer(self, portion: Portion, answer: list[Any]) -> None:
        looked, found, keys = answer
        self._flight.call = None
        if portion.asked:
            self._contact.at = max(self._contact.at, portion.sent_at)
        for at in range(0, len(found), 2):
            self._waiting.receive(found[at], found[at + 1])
        not_looked = portion.asked[looked:]
        self._waiting.asked.update(dict.fromkeys(not_looked))
        if not_looked:
            self._contact.gap = max(self._contact.gap, portion.gap)
        self._waiting.looked(portion.asked[:looked], portion.gap, portion.sent_at)
        for (_, wanted), key in zip((*portion.revived, *portion.listened), keys, strict=True):
            if not wanted.done():
                wanted.set_result(None if key == 0 else key[:KEY])

    def fail(self, call: Portion | None, error: Exception) -> None:
        """Fail everybody who waits."""
        self._waiting.fail(error)
        sent = (*call.revived, *call.listened) if call is not None else ()
        for _, answer in (*sent, *self._ids.revived, *self._ids.listened):
            reject(answer, error)
        self._ids.revived.clear()
        self._ids.listened.clear()
        if call is None:
            self._waiting.forget_what_is_unsent()
        self._look_at = self._loop.time() + _LOOK_AGAIN
