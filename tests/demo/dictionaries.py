"""What the processes of tests/demo/test_stop_words.py do."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from shared.concurrency import Lease, LeaseLost, ReadersWritersLease, Session
from shared.demo.lease_waits import Waits
from shared.demo.stop_words import StopWords
from tests.instruments import inside
from tests.instruments.processes import report


@asynccontextmanager
async def opened(url: str, name: str, kind: type[StopWords] = StopWords) -> AsyncIterator[tuple[StopWords, Waits]]:
    """The stop words, in a session of this process that is over a second after it was last heard of."""
    async with Session.open(url, ttl=1) as session, redis.asyncio.Redis.from_url(url) as client:
        waits = Waits(client, name, "run", inside.owner_of(session))
        yield kind(client, ReadersWritersLease(session, name), name, waits), waits


async def read(url: str, name: str, tasks: int) -> None:
    """Read again and again in several tasks; says `version` whenever it sees a new one."""
    async with opened(url, name) as (stop_words, _):
        seen: set[int] = set()

        async def reader() -> None:
            while True:
                version = (await stop_words.read()).version
                if version not in seen:
                    seen.add(version)
                    report("version", version)

        await asyncio.gather(*(reader() for _ in range(tasks)))


async def rewrite(url: str, name: str) -> None:
    """Write one version after the other; says `wrote` with each."""
    async with opened(url, name) as (stop_words, _):
        while True:
            report("wrote", await stop_words.rewrite())
            await asyncio.sleep(0)


async def rewrite_until_step(url: str, name: str, step: int, ending: str) -> None:
    """Begin to write a version, and end (KILL) or stop (STOP) right before a step of it; says `refused` if it is."""
    late: list[asyncio.Task[None]] = []

    class Breaking(StopWords):
        steps = 0

        async def _write(self, lease: Lease, key: str, value: bytes) -> None:
            self.steps += 1
            if self.steps != step:
                await super()._write(lease, key, value)
                return
            report("token", lease.token)
            os.kill(os.getpid(), getattr(signal, f"SIG{ending}"))
            late.append(asyncio.create_task(self._write_late(lease, key, value)))
            await asyncio.shield(late[0])

        async def _write_late(self, lease: Lease, key: str, value: bytes) -> None:
            """Neither cancelled nor told by the lease: only the store itself can refuse."""
            try:
                await super()._write(_Unaware(lease), key, value)  # type: ignore[arg-type]
            except LeaseLost as lost:
                report("refused", str(lost))

    async with opened(url, name, Breaking) as (stop_words, _):
        with contextlib.suppress(LeaseLost):
            await stop_words.rewrite()
        await asyncio.gather(*late)


class _Unaware:
    """A lease that believes in itself."""

    def __init__(self, lease: Lease) -> None:
        self.token = lease.token

    def check(self) -> None:
        """Find everything in order."""
