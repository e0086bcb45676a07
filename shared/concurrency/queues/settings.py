"""The settings that are stored with a queue: what they may be, and in which units they are stored."""

from types import EllipsisType
from typing import Final

from shared.concurrency.checks import LONGEST, check_count, check_crashes, check_seconds

LARGEST_BOUND: Final = 10_000_000


def settings_of(
    maxsize: int | None,
    max_attempts: int | None,
    max_crashes: int | EllipsisType | None,
    max_dead: int | None,
    dead_for: float | None,
) -> dict[str, int | None]:
    """The settings as they are stored, None for those that nobody has asked for; `dead_for` in milliseconds.

    :raises ValueError: when a number is out of range.
    """
    if maxsize is not None:
        check_count("maxsize", maxsize, 0, LARGEST_BOUND)
    if max_attempts is not None:
        check_count("max_attempts", max_attempts, 1, 999)
    crashes = check_crashes(max_crashes)
    if max_dead is not None:
        check_count("max_dead", max_dead, 1, LARGEST_BOUND)
    if dead_for is not None:
        check_seconds("dead_for", dead_for, 1, 10 * LONGEST)
    return {
        "maxsize": maxsize,
        "max_attempts": max_attempts,
        "max_crashes": crashes,
        "max_dead": max_dead,
        "dead_for": None if dead_for is None else round(dead_for * 1000),
    }


def changes_of(
    maxsize: int | None,
    max_attempts: int | None,
    max_crashes: int | EllipsisType | None,
    max_dead: int | EllipsisType | None,
    dead_for: float | EllipsisType | None,
) -> dict[str, int]:
    """The settings to change, as they are stored; 0 where there is to be no limit. Those left out stay as they are.

    :raises ValueError: when a number is out of range, or none is given.
    """
    asked = settings_of(
        maxsize,
        max_attempts,
        max_crashes,
        None if isinstance(max_dead, EllipsisType) else max_dead,
        None if isinstance(dead_for, EllipsisType) else dead_for,
    )
    changes = {word: value for word, value in asked.items() if value is not None}
    changes |= {word: 0 for word, value in (("max_dead", max_dead), ("dead_for", dead_for)) if value is None}
    if not changes:
        raise ValueError("say what is to change: maxsize, max_attempts, max_crashes, max_dead or dead_for")
    return changes
