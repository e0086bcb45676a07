"""What `put_unique` may be asked for."""

import math
from typing import Final

from shared.concurrency.checks import LONGEST, LONGEST_DELAY, check_seconds
from shared.concurrency.queues.encoding.once import pack_once

_SHORTEST: Final = 0.001


def once_of(*, replace: bool, calm: float | None, longest: float | None, every: float | None) -> str:
    """What a put asks for beside its name, as it is stored.

    :raises TypeError: when `replace` is no bool. ValueError: when a time is out of range, or two exclude each other.
    """
    if not isinstance(replace, bool):
        raise TypeError(f"replace is True or False, not {replace!r:.100}")
    if every is not None and (replace or calm is not None or longest is not None):
        raise ValueError("every (one in so many seconds) goes with none of replace, calm and longest")
    if longest is not None and calm is None:
        raise ValueError("longest bounds calm: give both, or calm alone")
    calm_ms = _milliseconds("calm", calm, LONGEST_DELAY)
    longest_ms = _milliseconds("longest", longest, LONGEST)
    every_ms = _milliseconds("every", every, LONGEST)
    if longest is not None and calm_ms > longest_ms:
        raise ValueError(f"calm is at most longest: {calm!r} is more than {longest!r}")
    return pack_once(replace, calm_ms, longest_ms, every_ms)


def _milliseconds(word: str, seconds: float | None, most: float) -> int:
    return 0 if seconds is None else math.ceil(check_seconds(word, seconds, _SHORTEST, most) * 1000)
