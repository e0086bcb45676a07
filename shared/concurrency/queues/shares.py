"""Shares: who has most in a queue, by the tags that its messages were given."""

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.checks import check_number
from shared.concurrency.queues.encoding.flow import Priority, check_name, stored_name

_COSTS: Final = {Priority.HIGH: 1, Priority.NORMAL: 8, Priority.LOW: 64}
_IN_LINE: Final = b"L"
_AT_A_GATE: Final = b"G"
"""Those have turns of their own, and are counted by `limits`."""
MOST_SHARES: Final = 1000


@dataclass(frozen=True, slots=True)
class QueueShare:
    """A share of a queue at one moment, or a priority that no share has; those that have nothing are not listed."""

    share: str | None
    """As it is stored; None for messages of a priority without a share."""
    priority: Priority
    pending: int
    """About how many messages wait for delivery, those that come again included."""
    puts_waiting: int
    """About how many of its puts wait for room."""
    weight: float
    """How many turns it gets for each of another one; 1.0 as a rule."""


@dataclass(frozen=True, slots=True)
class SharesSnapshot:
    """The shares of a queue as those see them who only watch, who read a part of them at a time."""

    count: int
    """Shares that have something waiting; one that has it in two priorities counts twice, and so does `largest`."""
    largest: tuple[QueueShare, ...]
    """The ten that have most, the most first."""
    oldest_seconds: float | None
    """How long the first message of the largest one waits that was never delivered; None where that is unknown."""
    is_whole: bool
    """False: there are more than one snapshot reads, and they were not all read yet."""


@dataclass(frozen=True, slots=True)
class SharesPart:
    """What one snapshot reads of the shares of a queue."""

    cursor: str
    """Where the next one goes on; `0` once all were read."""
    count: int
    largest: tuple[QueueShare, ...]
    oldest_seconds: float | None


def read_part(answer: list[Any]) -> SharesPart:
    """Read what the server found."""
    cursor, count, oldest, words = answer
    largest = tuple(
        QueueShare(name[2:].decode() or None, Priority(int(name[:1])), pending, puts_waiting, float(weight))
        for name, pending, puts_waiting, weight in zip(*(words[at::4] for at in range(4)), strict=True)
    )
    return SharesPart(cursor.decode(), count, largest, None if oldest < 0 else oldest / 1e6)


async def largest_shares(ask: Callable[..., Awaitable[Any]], most: int) -> list[QueueShare]:
    """The largest ones, the largest first. Not read in one step."""
    waiting: dict[tuple[bytes, bool], tuple[int, float]] = {}
    cursor: bytes | int = 0
    while True:
        *times, cursor, words = await ask("shares", cursor)
        for field, tag, weight in zip(words[::3], words[1::3], words[2::3], strict=True):
            if field[:1] == _AT_A_GATE:
                continue
            in_line = field[:1] == _IN_LINE
            name = field[1:] if in_line else field
            cost = _COSTS[Priority(int(name[:1]))] / float(weight)
            count = round(max(0.0, float(tag) - float(times[in_line])) / cost)
            waiting[name, in_line] = (count, float(weight))
        if int(cursor) == 0:
            break
    return heapq.nlargest(most, _shares(waiting), key=lambda each: each.pending + each.puts_waiting)


def _shares(waiting: dict[tuple[bytes, bool], tuple[int, float]]) -> list[QueueShare]:
    found = []
    for name in {name for name, _ in waiting}:
        pending, weight = waiting.get((name, False), (0, 1.0))
        in_line, weight_in_line = waiting.get((name, True), (0, weight))
        if pending + in_line > 0:
            share = name[2:].decode() or None
            weight = weight if (name, False) in waiting else weight_in_line
            found.append(QueueShare(share, Priority(int(name[:1])), pending, in_line, weight))
    return found


def words_of_weight(share: str, weight: float) -> tuple[str, str]:
    """A share and its weight as the server takes them.

    :raises TypeError, ValueError: when the share is no name, or the weight no number above 0, up to 1,000 and from a
        thousandth on.
    """
    return stored_name(check_name("share", share)), repr(check_number("weight", weight, 0.001, 1000))
