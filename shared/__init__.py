"""What producers and consumers both know: messages, settings, logs, the local server."""

from typing import Any

from shared.upgrades import upgrades

__all__ = ["upgrades"]


def __getattr__(name: str) -> Any:
    """Find what the engine has: imported when it is asked for, for a service catches its signals before that."""
    if name != "Priority":
        raise AttributeError(f"module 'shared' has no attribute {name!r}")
    from shared.concurrency import Priority  # noqa: PLC0415

    return Priority
