"""Load: what a consumer service says of itself with each renewal."""

import json
from bisect import bisect_left
from typing import Final

from shared.concurrency.queues.encoding.entry import attempt_of, stamp_of
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.histogram import BOUNDS, Histogram

_DELIVERIES: Final = slice(39, 45)
_NONE: Final = b"000000"


class Load:
    """How many deliveries a process handles at once, how long messages waited for it, and how long it handled them."""

    def __init__(self, concurrency: int) -> None:
        """Begin with nothing measured."""
        self.concurrency: Final = concurrency
        self.waiting: Final = Histogram()
        """From the put to the first delivery, by the server's clock."""
        self.handling: Final = Histogram()
        """From the start of a handler to its end, however it ended; of a batch once for each delivery."""
        self._ahead = 0.0
        """The server's clock less the local one, in seconds."""

    def note_clock(self, server_ms: int) -> None:
        """Take note of what the server's clock said in an answer that has just come."""
        self._ahead = server_ms / 1000 - boottime()

    def taken(self, entries: list[bytes]) -> None:
        """Measure how long they waited that were never delivered before: they come last, the oldest first.

        Nearly always that is all of them, and they are in one bucket: then two are read, however many there are, and
        here, for it costs each message something. The sum is that of as many at even distances.
        """
        now, first = boottime() + self._ahead, entries[0] if entries else b""
        try:
            if first[_DELIVERIES] == _NONE:
                # The clock is known to the millisecond: what came at once may seem to come from ahead.
                longest = max(0.0, now - stamp_of(first))
                shortest = longest if len(entries) == 1 else max(0.0, now - stamp_of(entries[-1]))
                place = bisect_left(BOUNDS, longest)
                if shortest <= longest and (not place or shortest > BOUNDS[place - 1]):
                    self.waiting.counts[place] += len(entries)
                    self.waiting.seconds += len(entries) * (longest + shortest) / 2
                    return
            self._measure(entries, now)
        except ValueError:  # another program wrote them: whoever opens them says so
            return

    def _measure(self, entries: list[bytes], now: float) -> None:
        at = bisect_left(entries, 1, key=_is_new)
        while at < len(entries):
            longest, shortest = _age(entries[at], now), _age(entries[-1], now)
            place = bisect_left(BOUNDS, longest)
            upto = len(entries)
            if bisect_left(BOUNDS, shortest) != place:
                low = BOUNDS[place - 1]
                upto = max(at + 1, bisect_left(entries, -low, lo=at, key=lambda entry: -_age(entry, now)))
                shortest = _age(entries[upto - 1], now)
            self.waiting.observe(longest, upto - at)
            self.waiting.seconds += (upto - at) * (shortest - longest) / 2
            at = upto

    def words(self) -> str:
        """All of it as JSON, as the queue keeps it; counts since this process began."""
        measured = {"waiting": self.waiting, "handling": self.handling}
        said = {name: {"counts": each.counts, "seconds": round(each.seconds, 3)} for name, each in measured.items()}
        return json.dumps({"concurrency": self.concurrency, **said}, separators=(",", ":"))


def _is_new(entry: bytes) -> int:
    return attempt_of(entry) == 1


def _age(entry: bytes, now: float) -> float:
    return max(0.0, now - stamp_of(entry))
