"""Causes: redis-py raises one class for whatever ends a connect, and hangs the reason on it."""

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
