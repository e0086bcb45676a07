"""The options of what a blocking session makes: those of the asyncio face, by the same names."""

from collections.abc import Callable
from types import EllipsisType
from typing import Any, Literal, TypedDict


class SessionOptions(TypedDict, total=False):
    """Those of `Session.open`."""

    ttl: float
    connect_timeout: float
    refusal_grace: float
    replicas: int
    credentials: Callable[[], str | tuple[str, str]] | None


class QueueOptions(TypedDict, total=False):
    """Those of `Queue`."""

    maxsize: int | None
    max_attempts: int | None
    max_crashes: int | EllipsisType | None
    max_dead: int | None
    dead_for: float | None
    max_message_bytes: int
    known_for: float
    group: str | None
    result: Any
    results_for: float
    unread_for: float


class LeaseOptions(TypedDict, total=False):
    """Those of `Lock` and `Semaphore`."""

    ttl: float | None
    max_hold: float | None


class PolicyOptions(LeaseOptions, total=False):
    """Those of `ReadersWritersLease`."""

    policy: Literal["fair", "readers", "writers"]
