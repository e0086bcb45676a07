"""What an argument may be: one wording for each kind of refusal."""

import math


def check_seconds(word: str, value: object, least: float, most: float) -> float:
    """A number of seconds between two bounds, both included.

    :raises ValueError: when it is something else; the message names the argument, the bounds and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{word} is a number of seconds, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{word} is between {least:g} and {most:g} seconds, not {value!r}")
    return float(value)
