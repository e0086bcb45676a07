"""What an argument may be: one wording for each kind of refusal."""

import math
from typing import Final

LONGEST: Final = 366 * 86400.0
"""Seconds of a leap year."""
LONGEST_DELAY: Final = 7 * 86400.0
"""A message that was cancelled is remembered for a day more: whoever meets it later would begin with it."""
_LONGEST_REASON: Final = 1000
_MOST_TOGETHER: Final = 1000
_LONGEST_GATHERING: Final = 86400.0


def check_count(word: str, value: object, least: int, most: int | None) -> int:
    """A whole number between two bounds, both included; without a `most` there is no upper one.

    :raises ValueError: when it is something else; the message names the argument, the bounds and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise ValueError(f"{word} is a whole number {bounds}, not {value!r}")
    return value


def check_crashes(max_crashes: object) -> int | None:
    """A limit of crashes as the server keeps it, 0 for never; None when it is left out (`...`).

    :raises ValueError: when it is neither None nor a whole number from 1 to 9.
    """
    if max_crashes is ...:
        return None
    if max_crashes is None:
        return 0
    return check_count("max_crashes (None: never)", max_crashes, 1, 9)


def check_delay(delay: object) -> int:
    """A delay in seconds, up to a week, as the server takes it: in milliseconds, rounded up.

    :raises ValueError: when it is negative, no number, or too long.
    """
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not math.isfinite(delay):
        raise ValueError(f"a delay is a number of seconds, not {delay!r}")
    if not 0 <= delay <= LONGEST_DELAY:
        raise ValueError(f"a delay is between 0 and {LONGEST_DELAY:.0f} seconds (a week), not {delay!r}")
    return math.ceil(delay * 1000)


def check_reason(reason: object) -> str:
    """The reason of a dead letter.

    :raises ValueError: when it is no text, empty, or of more than 1,000 characters.
    """
    if not isinstance(reason, str) or not 0 < len(reason) <= _LONGEST_REASON:
        raise ValueError("a reason is a text of 1 to 1,000 characters")
    return reason


def check_number(word: str, value: object, least: float, most: float) -> float:
    """A number between two bounds, both included.

    :raises ValueError: when it is something else; the message names the argument, the bounds and the value.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]  # a number, by then
        raise ValueError(f"{word} is a number from {least:g} to {most:g}, not {value!r}")
    return float(value)  # type: ignore[arg-type]


def check_seconds(word: str, value: object, least: float, most: float) -> float:
    """A number of seconds between two bounds, both included.

    :raises ValueError: when it is something else; the message names the argument, the bounds and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{word} is a number of seconds, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{word} is between {least:.15g} and {most:.15g} seconds, not {value!r}")
    return float(value)


def check_together(most: object, within: object) -> None:
    """How many messages go together, 1 to 1,000, and for how many seconds the first waits, up to a day.

    :raises ValueError: when one is something else or out of range; the message names the argument.
    """
    check_count("most", most, 1, _MOST_TOGETHER)
    if check_seconds("within", within, 0, _LONGEST_GATHERING) == 0:
        raise ValueError("within is more than 0 seconds: the first message waits so long for others")
