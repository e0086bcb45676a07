"""The dead letters of one queue: read, put back and deleted a page at a time, for there may be a million of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.queues.dead_letter import DeadLetter

# What one step carries; the server looks at so many of them in a few milliseconds.
_PAGE: Final = 500

Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters: those to which all that is given applies; all of them when nothing is given."""

    id: str | None = None
    """The id or the key of the message."""
    type: str | None = None
    """The name of its class."""
    reason: str | None = None
    """Why it was given up."""

    def words(self) -> tuple[str, str, str]:
        """As the server takes it."""
        return self.id or "", self.type or "", self.reason or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the dead letters that were to be put back into the queue."""

    replayed: int = 0
    """Put back."""
    no_room: int = 0
    """Stayed dead letters: the queue is full, or puts wait in line."""
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


class LettersLane:
    """One step that moves letters at a time for each process and queue, with a number: repeated, it has one effect."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self._number = 0
        self._turn = asyncio.Lock()

    async def send(self, step: Callable[[int], Awaitable[list[int]]]) -> list[int]:
        """Run a step under the next number, when those before it are answered."""
        async with self._turn:
            self._number += 1
            return await step(self._number)


class DeadLetters:
    """The dead letters of a queue, in the order of their deaths; `Queue.letters`.

    What dies after a call began is not part of it: a replayed message that dies again at once does not keep it going.
    A call that is cancelled has done whole pages, of 500 letters at most.
    """

    def __init__(self, ask: Ask, lane: LettersLane, session_id: Callable[[], str]) -> None:
        """Prepare. `ask` runs a step, `session_id` tells under whose name."""
        self._ask = ask
        self._lane = lane
        self._session_id = session_id

    async def find(self, selection: Selection, limit: int | None = None) -> AsyncGenerator[DeadLetter, None]:
        """Read letters, the oldest first, `limit` at most; a page at a time, each of about 1 MiB."""
        left = _PAGE if limit is None else limit
        place, upto, count = b"", b"", 0
        while left:
            place, upto, *page = await self._page(selection, place, upto, min(left, _PAGE), whole=True)
            for at in range(0, len(page), 2):
                yield DeadLetter.from_reply(page[at].partition(b" ")[2], page[at + 1])
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
            went, gone, spoilt, shut = await self._once("replay", places)
            stayed = len(places) - went - gone - spoilt
            replayed, missing, unreadable = replayed + went, missing + gone, unreadable + spoilt
            no_room, shut_down = (no_room, stayed) if shut else (stayed, shut_down)
        return Replayed(replayed=replayed, no_room=no_room, shut_down=shut_down, unreadable=unreadable, missing=missing)

    async def discard(self, which: Selection | Iterable[str]) -> int:
        """Delete letters (by keys, or those selected); returns how many."""
        total = 0
        async for places in self._pages(which):
            (discarded,) = await self._once("discard", places)
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
        page: list[Any] = await self._ask("letters", after, upto, count, int(whole), *selection.words())
        return page

    async def _once(self, step: str, places: list[bytes | str]) -> list[int]:
        return await self._lane.send(lambda number: self._ask(step, self._session_id(), number, *places))
