"""The bound: what was pending at each look, compared with what may be."""

from collections.abc import Iterable


def over_the_bound(samples: Iterable[tuple[float, int]], bound: int) -> list[tuple[float, int]]:
    """The looks (when, how many) that saw more than may be pending."""
    return [(at, pending) for at, pending in samples if pending > bound]
