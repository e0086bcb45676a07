"""Limits of a queue: how many of its messages may be in hands, and how often one may begin."""

from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.checks import check_count
from shared.concurrency.queues.encoding.flow import check_name, stored_name
from shared.concurrency.rate import Rate, interval_of

_MOST: Final = 10_000_000
OF_SHARES: Final = "s"
"""What scripts call the limit that each share has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimit:
    """A limit at one moment; all counts are messages."""

    name: str | None
    """None: the one that each share has; its counts are those of all shares."""
    at_once: int | None
    """How many may be in hands; None for any number."""
    rate: Rate | None
    """How often one may be delivered; None for as often as wanted."""
    running: int
    """In a consumer's hands."""
    waiting: int
    """In the queue, and not in hands: let go already, or at the gate."""
    puts_waiting: int
    """Puts that wait because so many stand at the gate."""
    opens_in: float | None
    """In how many seconds the rate lets the next one go; None where it is not the rate that they wait for."""


def numbers_of(at_once: int | None, rate: Rate | None) -> tuple[str, str]:
    """The numbers of a limit as the server keeps them.

    :raises ValueError: when a number is out of range. TypeError: when the rate is none.
    """
    if at_once is not None:
        check_count("at_once", at_once, 1, _MOST)
    if rate is not None and not isinstance(rate, Rate):
        raise TypeError(f"a rate is a Rate, as Rate(100, per=60.0), and not {rate!r:.100}")
    of_rate = "" if rate is None else f"{interval_of(rate)} {rate.burst} {rate.count} {float(rate.per)!r}"
    return str(at_once or 0), of_rate


def gate_of(name: str) -> tuple[str, bytes]:
    """What scripts call a limit, and what people call it where that is another word.

    :raises ValueError, TypeError: when it is no name.
    """
    stored = stored_name(check_name("limit", name))
    return f"l{stored}", b"" if stored == name else name.encode("utf-8", "surrogatepass")


def read_limits(found: list[list[Any]]) -> list[QueueLimit]:
    """Read some limits as the server has them; what is lifted, and only counted yet, is none."""
    limits = []
    for stored, words, running, ready, standing, putting, opens in found:
        at_once, interval, burst, count, per, *called = words.split(b" ", 5)
        if at_once == interval == b"0":
            continue
        rate = Rate(int(count), per=float(per), burst=int(burst)) if interval != b"0" else None
        name = (called or [stored])[0].decode("utf-8", "surrogatepass")
        limits.append(
            QueueLimit(
                name=name if stored else None,
                at_once=int(at_once) or None,
                rate=rate,
                running=running,
                waiting=ready + standing,
                puts_waiting=putting,
                opens_in=opens / 1e6 if opens >= 0 else None,
            )
        )
    return limits
