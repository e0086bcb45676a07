"""Leaks: what is there behind a run and was not before it."""

from collections.abc import Mapping


def leaks(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """What there is more of, as text."""
    return [
        f"{what}: {before.get(what, 0)} before, {count} after"
        for what, count in sorted(after.items())
        if count > before.get(what, 0)
    ]
