"""How long the server takes for single calls, by its own log of slow commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from shared.concurrency.session.scripts import Script, scripts

GENEROUS: Final = 40.0
"""Milliseconds. No call takes more than 10 on a quiet machine; those that looked at everything took a hundred."""


class Calls:
    """The calls of scripts that the server ran inside a block."""

    def __init__(self) -> None:
        """Begin with none."""
        self.milliseconds: list[float] = []
        self.waited = 0.0
        """For how long the server had work and no processor inside the block, in milliseconds; 0.0 if nothing says."""

    @property
    def worst(self) -> float:
        """What the longest took at least, in milliseconds; 0.0 when there was none.

        The log tells the time that went by. On a busy machine the server waits for a processor within calls, too, and
        nothing says in which. So what goes past this figure, in all calls together, is as much as the server waited.
        On a quiet machine that is little.
        """
        waited, longest = self.waited, sorted(self.milliseconds, reverse=True)
        for count, (this, following) in enumerate(pairwise([*longest, 0.0]), 1):
            if waited < count * (this - following):
                return this - waited / count
            waited -= count * (this - following)
        return 0.0


@asynccontextmanager
async def timed(client: Any, only: Script | None = None) -> AsyncIterator[Calls]:
    """The calls inside the block, or those of one script, once it has ended. The server must be the test's own.

    Scripts are loaded before: compiling one is not what is measured.
    """
    for script in scripts():
        await client.script_load(script.source.decode())
    await client.config_set("slowlog-log-slower-than", 0)
    await client.config_set("slowlog-max-len", 100_000)
    pid = (await client.info("server"))["process_id"]
    await client.slowlog_reset()
    calls, before = Calls(), _waited(pid)
    yield calls
    calls.waited = _waited(pid) - before
    for each in await client.slowlog_get(100_000):
        if each["command"].startswith(b"EVALSHA " + (only.sha if only else b"")):
            calls.milliseconds.append(each["duration"] / 1000)


def _waited(pid: int) -> float:
    """For how many milliseconds the main thread of a process has been ready and has had no processor so far."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e6
    except (OSError, IndexError):
        return 0.0  # another system, or a kernel that does not count it
