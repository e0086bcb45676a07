"""Patient: what a server tells of itself, asked once; what it does not tell is empty."""

import re
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Any, Final
from urllib.parse import urlsplit

from redis.exceptions import ResponseError

from monitor.link import Link, open_link
from shared.concurrency.session.address.credentials import Credentials
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.server_errors import text_of

_SECTIONS: Final = ("server", "clients", "memory", "persistence", "replication")
_ROUND_TRIPS: Final = 21
_SETTINGS: Final = (
    "maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write", "no-appendfsync-on-rewrite", "maxclients",
)  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """A server as it is now."""

    url: str
    link: Link
    info: dict[str, Any]
    """Empty where INFO is forbidden."""
    settings: dict[str, str]
    """Of those that CONFIG GET tells."""
    hello: dict[str, str]
    ahead_seconds: float | None
    """How far its clock is ahead of ours; a round trip less is not seen."""
    round_trip_seconds: float
    """The median of some."""

    def setting(self, name: str, of_info: str = "") -> str | None:
        """A setting, from CONFIG or INFO; None where neither tells it."""
        if name in self.settings:
            return self.settings[name]
        return str(self.info[of_info]) if of_info in self.info else None

    @property
    def is_near(self) -> bool:
        """Whether nothing that is sent leaves this machine."""
        parts = urlsplit(self.url)
        return (
            parts.scheme == "unix" or re.fullmatch(r"localhost|127\..*|::1", parts.hostname or "localhost") is not None
        )


@asynccontextmanager
async def examined(url: str, credentials: Credentials | None = None) -> AsyncIterator[Patient]:
    """Ask a server for all that it tells. `credentials`: what is asked for its password.

    :raises ServerUnavailable: when it does not answer, ServerRefused when it does not let us in.
    """
    async with open_link(url, credentials) as link:
        round_trips = []
        for _ in range(_ROUND_TRIPS):
            sent_at = boottime()
            await link.commands([("PING",)])
            round_trips.append(boottime() - sent_at)
        sent = time()
        (moment,) = await link.commands([("TIME",)])
        came = time()
        info, hello, *found = await link.commands(
            [("INFO", *_SECTIONS), ("HELLO",), *(("CONFIG", "GET", name) for name in _SETTINGS)]
        )
        yield Patient(
            url=url,
            link=link,
            info=info if isinstance(info, dict) else {},
            settings={word: value for each in found for word, value in _texts(each).items()},
            hello=_texts(hello),
            ahead_seconds=None if isinstance(moment, ResponseError) else _ahead(moment, sent, came),
            round_trip_seconds=statistics.median(round_trips),
        )


def _ahead(moment: Any, sent: float, came: float) -> float:
    """How far the server is ahead at least: what the round trip may explain is no difference."""
    there = int(moment[0]) + int(moment[1]) / 1e6
    return max(0.0, there - came) or min(0.0, there - sent)


def _texts(answer: Any) -> dict[str, str]:
    if not isinstance(answer, dict):
        return {}
    return {text_of(word): text_of(value) for word, value in answer.items()}
