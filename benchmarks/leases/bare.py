"""The limit: the lock's own two scripts through this project's connection, and nothing around them.

It renews nothing, keeps no deadline, and handles neither a cancellation nor a lost connection.
"""

import asyncio
import itertools
import secrets
from typing import Any

from benchmarks.connection import BareConnection
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load

_TTL_MS = 10_000


class Client:
    """A connection and the keys of one lock."""

    def __init__(self, url: str) -> None:
        """Prepare; `open` connects."""
        self._owner = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._keys = lease_keys("bench")
        self._acquire, self._release = load("acquire"), load("release")
        self._granted: asyncio.Future[None] | None = None
        self.connection = BareConnection(url, self._owner, self._notified)
        self.calls = self.connection.calls

    def _notified(self, message: bytes) -> None:
        if message.startswith(b"granted ") and self._granted is not None:
            self._granted.set_result(None)

    async def acquire(self) -> str:
        """Wait for the lock."""
        hold = f"{self._owner}.{next(self._numbers)}.{_TTL_MS}"
        granted = self._granted = asyncio.get_running_loop().create_future()
        answer: Any = await self.calls.once(
            Call(self._acquire, self._keys, (hold, "p", "lock", self.calls.run_id, "", 1, "0  bench"))
        )
        if answer[0] == b"waits":
            await granted
        return hold

    async def release(self, hold: str) -> None:
        """Release the lock."""
        await self.calls.once(Call(self._release, self._keys, (hold, 0), says_run=True))


async def open(url: str) -> Client:  # noqa: A001  # the name that the harness calls
    """Connect."""
    client = Client(url)
    await client.connection.opened()
    return client
