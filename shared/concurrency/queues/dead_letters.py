"""Dead letters: messages that failed for good, kept with the reason and their original bytes.

They are read, put back and deleted a page at a time, for there may be a million of them.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.calls import Call
from shared.concurrency.session.futures import reject
from shared.concurrency.session.scripts import load

# What one call carries; the server looks at so many letters in a few milliseconds.
_PAGE: Final = 500

Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that spent its attempts, or cannot be read."""

    key: str
    """Unique among all messages; `replay` and `discard` take it."""
    id: str
    """The `id=` given to `put`, or else the key."""
    type: str | None
    """The name of the message's class, where it travelled with it."""
    reason: str
    """failed, crashed, shutdown, undecodable, invalid, unknown_type, too_large, invalid_result, or what `dead_letter()`
    was given."""
    error: str
    """What was wrong the last time; empty where it is unknown."""
    put_at: float
    """When it was admitted; seconds since the epoch, by the server's clock."""
    died_at: float
    """When it became a dead letter; as put_at."""
    attempt: int
    """How many times it was delivered."""
    failures: int
    """How many of these were nacked."""
    body: bytes
    """The original bytes."""
    first_error: str | None = None
    """What was wrong at the first failure, cut to 300 characters; None where it is unknown. A replay keeps it."""
    last_error: str | None = None
    """The same of the last failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters: those to which all that is given applies; all of them when nothing is given."""

    id: str | None = None
    """The id or the key of the message."""
    type: str | None = None
    """The name of its class."""
    reason: str | None = None
    """Why it is a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the dead letters that were to be put back into the queue."""

    replayed: int = 0
    """Put back."""
    no_room: int = 0
    """Stayed dead letters: the queue is full, or puts wait for room."""
    shut_down: int = 0
    """Stayed dead letters: the queue is shut down."""
    unreadable: int = 0
    """Stayed dead letters: they are no messages that could be delivered."""
    missing: int = 0
    """No dead letters any more: put back or deleted by somebody else meanwhile."""

    @property
    def stayed(self) -> int:
        """How many stayed dead letters."""
        return self.no_room + self.shut_down + self.unreadable


@dataclass(frozen=True, slots=True)
class _Move:
    """Letters that are put back or deleted with one call, or an id that is forgotten, and who waits for it."""

    script: str
    places: Sequence[bytes | str]
    moved: "asyncio.Future[list[int]]"


class LettersLane(Lane[_Move]):
    """The calls of one process that move dead letters of one queue, or forget an id: one at a time, in order.

    Repeated after a lost answer, each has one effect.
    """

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to move."""
        super().__init__(member, "weir-letters")
        self._moves: deque[_Move] = deque()

    async def move(self, script: str, places: Sequence[bytes | str]) -> list[int]:
        """Run a script that moves letters; returns its counts. Cancelled, what is sent already runs to its end.

        :raises ConcurrencyError: when the session was closed before the server answered, or the server refuses it.
        """
        moved: asyncio.Future[list[int]] = self._loop.create_future()
        self._moves.append(_Move(script, places, moved))
        self.kick()
        return await moved

    def due(self) -> float | None:
        """At once, while somebody waits."""
        while self._moves and self._moves[0].moved.done():
            self._moves.popleft()
        return 0 if self._moves else None

    def is_unsent(self) -> bool:
        """Whether a page waits."""
        return bool(self._moves)

    def compose(self) -> _Move:
        """The page that has waited longest."""
        return self._moves.popleft()

    async def send(self, call: _Move) -> None:
        """Send it with a number: repeated, it has one effect."""
        words = (self._member.session_id, self.number(), *call.places)
        try:
            await self._member.calls.insist(
                Call(load(call.script), self._member.keys, words, at_reply=partial(_take_answer, call))
            )
        except ConcurrencyError as error:
            reject(call.moved, error)

    def fail(self, call: _Move | None, error: Exception) -> None:
        """Fail all who wait."""
        for move in (*([call] if call is not None else ()), *self._moves):
            reject(move.moved, error)
        self._moves.clear()


def _take_answer(call: _Move, counts: list[int]) -> None:
    if not call.moved.done():
        call.moved.set_result(counts)


class DeadLetters:
    """The dead letters of a queue, in the order of their deaths; `Queue.letters`.

    What dies after a call began is not part of it: a replayed message that dies again at once does not keep it going.
    A call that is cancelled has done whole pages, of 500 letters at most.
    """

    def __init__(self, ask: Ask, lane: LettersLane, check_open: Callable[[], None]) -> None:
        """Made by `Queue.letters`."""
        self._ask = ask
        self._lane = lane
        self._check_open = check_open

    async def find(self, selection: Selection, limit: int | None = None) -> AsyncGenerator[DeadLetter, None]:
        """Read letters, the oldest first, `limit` at most; a page at a time, each of about 1 MiB."""
        left = _PAGE if limit is None else limit
        place, upto, count = b"", b"", 0
        while left:
            place, upto, *page = await self._page(selection, place, upto, min(left, _PAGE), whole=True)
            for at in range(0, len(page), 2):
                yield _read_letter(page[at].partition(b" ")[2], page[at + 1])
            count += len(page) // 2
            left = _PAGE if limit is None else limit - count
            if not place:
                return

    async def replay(self, which: Selection | Iterable[str]) -> Replayed:
        """Put letters (by keys, or those selected) back into the queue, the oldest first, as far as there is room.

        A letter leaves in the step that lets its message in, past the known ids, its counts reset: a call that was cut
        off may be repeated.
        """
        replayed = no_room = shut_down = unreadable = missing = 0
        async for places in self._pages(which):
            if no_room or shut_down:
                # What is younger than a letter that stayed stays too; it is counted all the same.
                no_room, shut_down = no_room + bool(no_room) * len(places), shut_down + bool(shut_down) * len(places)
                continue
            went, gone, spoilt, shut = await self._move("replay", places)
            stayed = len(places) - went - gone - spoilt
            replayed, missing, unreadable = replayed + went, missing + gone, unreadable + spoilt
            no_room, shut_down = (no_room, stayed) if shut else (stayed, shut_down)
        return Replayed(replayed=replayed, no_room=no_room, shut_down=shut_down, unreadable=unreadable, missing=missing)

    async def discard(self, which: Selection | Iterable[str]) -> int:
        """Delete letters (by keys, or those selected); returns how many."""
        total = 0
        async for places in self._pages(which):
            (discarded,) = await self._move("discard", places)
            total += discarded
        return total

    async def _pages(self, which: Selection | Iterable[str]) -> AsyncIterator[list[bytes | str]]:
        if isinstance(which, Selection):
            place, upto = b"", b""
            while True:
                place, upto, *places = await self._page(which, place, upto, _PAGE, whole=False)
                if places:
                    yield places
                if not place:
                    return
        keys = list(dict.fromkeys(which))
        for first in range(0, len(keys), _PAGE):
            yield list(keys[first : first + _PAGE])

    async def _page(self, selection: Selection, after: bytes, upto: bytes, count: int, *, whole: bool) -> list[Any]:
        words = (selection.id or "", selection.type or "", selection.reason or "")
        page: list[Any] = await self._ask("letters", after, upto, count, int(whole), *words)
        return page

    async def _move(self, script: str, places: list[bytes | str]) -> list[int]:
        self._check_open()
        return await self._lane.move(script, places)


def _read_letter(key: bytes, letter: bytes) -> DeadLetter:
    """Read a stored letter; what cannot be read is all body."""
    head, _, entry = letter.partition(b"\n")
    about = json.loads(head.decode(errors="replace"))
    fate = (str(about["reason"]), str(about["error"]))
    died_at = float(about["died_ms"]) / 1000
    try:
        stored = read(entry)
    except (ValueError, IndexError):
        return DeadLetter(key.decode(errors="replace"), "", None, *fate, 0.0, died_at, 0, 0, entry)
    return DeadLetter(
        stored.key, stored.id, stored.type_name, *fate,
        stored.put_at, died_at, stored.attempt - 1, stored.failures, stored.body,
        stored.first_error, stored.last_error,
    )  # fmt: skip
