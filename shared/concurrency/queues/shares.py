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
