"""The limit below the limit: the same scripts through a client of fifty lines on hiredis, which receives no grants."""

import itertools
import secrets

from benchmarks import bare
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.session.scripts import load

_TTL_MS = 10_000


class Client:
    """A connection and the keys of one lock."""

    def __init__(self, client: bare.Client, run_id: str) -> None:
        """Prepare."""
        self._client = client
        self._run_id = run_id
        self._owner = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._keys = lease_keys("bench")
        self._acquire, self._release = load("acquire"), load("release")

    async def acquire(self) -> str:
        """Take the lock, which must be free."""
        hold = f"{self._owner}.{next(self._numbers)}.{_TTL_MS}"
        words = self._acquire.pack(self._keys, (hold, "p", "lock", self._run_id, "", 1, "0  bench"))
        await self._client.command("EVALSHA", self._acquire.sha, *words)
        return hold

    async def release(self, hold: str) -> None:
        """Release the lock."""
        await self._client.command(
            "EVALSHA", self._release.sha, *self._release.pack(self._keys, (hold, 0, self._run_id))
        )


async def open(url: str) -> Client:  # noqa: A001  # the name that the harness calls
    """Connect."""
    client = await bare.open(url)
    for script in (load("acquire"), load("release")):
        await client.command("SCRIPT", "LOAD", script.source)
    server = await client.command("INFO", "server")
    (run_id,) = (line.partition(":")[2] for line in server.decode().split() if line.startswith("run_id:"))
    return Client(client, run_id)
