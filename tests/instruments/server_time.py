"""How long the server takes for single calls, by its own log of slow commands."""

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from shared.concurrency.session.scripts import scripts

GENEROUS: Final = 40.0
"""Milliseconds. No call takes more than 10 on a quiet machine; those that looked at everything took a hundred."""


class Calls:
    """The calls of scripts that the server ran inside a block."""

    def __init__(self) -> None:
        """Begin with none."""
        self.milliseconds: list[float] = []

    @property
    def worst(self) -> float:
        """The longest, in milliseconds; 0.0 when there was none."""
        return max(self.milliseconds, default=0.0)

    @property
    def median(self) -> float:
        """For a step of many calls, one of which may be held up by other programs."""
        return statistics.median(self.milliseconds)


@asynccontextmanager
async def timed(client: Any) -> AsyncIterator[Calls]:
    """The calls inside the block, once it has ended. The server must be the test's own.

    Scripts are loaded before: compiling one is not what is measured.
    """
    for script in scripts():
        await client.script_load(script.source.decode())
    await client.config_set("slowlog-log-slower-than", 0)
    await client.config_set("slowlog-max-len", 100_000)
    await client.slowlog_reset()
    calls = Calls()
    yield calls
    for each in await client.slowlog_get(100_000):
        if each["command"].startswith(b"EVALSHA"):
            calls.milliseconds.append(each["duration"] / 1000)
