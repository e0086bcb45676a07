"""Dead letters: messages that failed for good, kept with the reason and their original bytes.

They are read, put back and deleted a page at a time, for there may be a million of them.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.queues.encoding.entry import read

# What one call carries; the server looks at so many letters in a few milliseconds.
_PAGE: Final = 500
_YEAR_9999_MS: Final = 253_370_764_800_000

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
    """failed, crashed, shutdown, undecodable, invalid, unknown_type, too_new, too_large, invalid_result, or what
    `dead_letter()` was given."""
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


class DeadLetters:
    """The dead letters of a queue, in the order of their deaths; `Queue.letters`.

    What dies after a call began is not part of it: a replayed message that dies again at once does not keep it going.
    A call that is cancelled has done whole pages, of 500 letters at most.
    """

    def __init__(self, read: Ask, operate: Ask) -> None:
        """Made by `Queue.letters`; `read` and `operate` run a script of the queue, the latter once under a number."""
        self._read = read
        self._operate = operate

    async def find(self, selection: Selection, limit: int | None = None) -> AsyncGenerator[DeadLetter, None]:
        """Read letters, the oldest first, `limit` at most; a page at a time, each of about 1 MiB."""
        left = _PAGE if limit is None else limit
        place, upto, count = b"", b"", 0
        while left:
            words = (place, upto, min(left, _PAGE), 1, *_words(selection))
            place, upto, *page = await self._read("letters", b"", 0, *words)
            for at in range(0, len(page), 2):
                yield read_letter(page[at].partition(b" ")[2], page[at + 1])
            count += len(page) // 2
            left = _PAGE if limit is None else limit - count
            if not place:
                return

    async def replay(self, which: Selection | Iterable[str]) -> Replayed:
        """Put letters (by keys, or those selected) back into the queue, the oldest first, as far as there is room.

        The script that lets a message in removes its letter, past the known ids, its counts reset: a call that was cut
        off may be repeated.
        """
        replayed = no_room = shut_down = unreadable = missing = 0
        async for page in self._pages(which):
            places = page
            while places and not (no_room or shut_down):
                went, gone, spoilt, shut, looked = await self._operate("replay", *places)
                stayed, places = looked - went - gone - spoilt, places[looked:]
                replayed, missing, unreadable = replayed + went, missing + gone, unreadable + spoilt
                no_room, shut_down = (no_room, stayed) if shut else (stayed, shut_down)
            # What is younger than a letter that stayed stays too; it is counted all the same.
            no_room, shut_down = no_room + bool(no_room) * len(places), shut_down + bool(shut_down) * len(places)
        return Replayed(replayed=replayed, no_room=no_room, shut_down=shut_down, unreadable=unreadable, missing=missing)

    async def discard(self, which: Selection | Iterable[str]) -> int:
        """Delete letters (by keys, or those selected); returns how many."""
        total = 0
        async for page in self._pages(which):
            places = page
            while places:
                discarded, looked = await self._operate("discard", *places)
                total, places = total + discarded, places[looked:]
        return total

    async def _pages(self, which: Selection | Iterable[str]) -> AsyncIterator[list[bytes | str]]:
        if isinstance(which, Selection):
            place, upto = b"", b""
            while True:
                place, upto, *places = await self._operate("letters", place, upto, _PAGE, 0, *_words(which))
                if places:
                    yield places
                if not place:
                    return
        keys = list(dict.fromkeys(which))
        for first in range(0, len(keys), _PAGE):
            yield list(keys[first : first + _PAGE])


def _words(selection: Selection) -> tuple[str, str, str]:
    return selection.id or "", selection.type or "", selection.reason or ""


def read_letter(key: bytes, letter: bytes) -> DeadLetter:
    """Read a stored letter; what cannot be read is all body."""
    head, _, entry = letter.partition(b"\n")
    reason, error, died_at = _fate(head)
    fate = (reason, error)
    try:
        stored = read(entry)
    except (ValueError, IndexError):
        return DeadLetter(key.decode(errors="replace"), "", None, *fate, 0.0, died_at, 0, 0, entry)
    return DeadLetter(
        stored.key, stored.id, stored.type_name, *fate,
        stored.put_at, died_at, stored.attempt - 1, stored.failures, stored.body,
        stored.first_error, stored.last_error,
    )  # fmt: skip


def _fate(head: bytes) -> tuple[str, str, float]:
    """Why it died, the error and when; of what another program wrote there as much as can be read."""
    try:
        about = json.loads(head.decode(errors="replace"))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        return "unreadable", "", 0.0
    died_ms = about.get("died_ms")
    died_at = died_ms / 1000 if isinstance(died_ms, int | float) and 0 <= died_ms < _YEAR_9999_MS else 0.0
    return _text(about.get("reason")) or "unreadable", _text(about.get("error")), died_at


def _text(value: object) -> str:
    """Text that can be sent on: JSON may hold half a character."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""
