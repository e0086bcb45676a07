"""What producers and consumers both know: messages, settings, logs, the local server."""

from typing import Any

from shared.upgrades import upgrades

__all__ = ["upgrades"]

_OF_THE_ENGINE = ("Priority", "Rate")


def __getattr__(name: str) -> Any:
    """Find what the engine has: imported when it is asked for, for a service catches its signals before that."""
    if name not in _OF_THE_ENGINE:
        raise AttributeError(f"module 'shared' has no attribute {name!r}")
    import shared.concurrency  # noqa: PLC0415

    return getattr(shared.concurrency, name)
