"""What processes of lease tests do: each an async function that reports what happens."""

import asyncio
import contextlib
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.concurrency import (
    Barrier,
    BrokenBarrierError,
    Condition,
    Lease,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Session,
    leader,
)
from shared.concurrency.session.clock import margin
from tests.instruments import inside
from tests.instruments.processes import report
from tests.instruments.referee import Referee, now


async def lock(url: str, name: str, ttl: float) -> None:
    """Hold a lock until the process is killed; says `holds` with the token."""
    async with Session.open(url, ttl=ttl) as session, Lock(session, name) as lease:
        report("holds", lease.token)
        await asyncio.Event().wait()


async def many_waiters(url: str, name: str, ttl: float, count: int) -> None:
    """Have so many tasks wait for a lock, and hold it for ever."""
    async with Session.open(url, ttl=ttl) as session:

        async def wait() -> None:
            async with Lock(session, name):
                report("holds")
                await asyncio.Event().wait()

        await asyncio.gather(*(wait() for _ in range(count)))


CONTENDER_TTL: Final = 0.5


def gap_ns(ttl: float) -> int:
    """A loop that has no turn for longer cannot be expected to leave before its lease ends."""
    return int(margin(ttl) * 1e9)


async def contend(url: str, name: str, path: str, seed: int, how: Mapping[str, float]) -> None:
    """Read and write under one lease with many tasks until the process is killed, telling the referee everything.

    `how`: so many `tasks`; the `ttl`; how many names each process holds `beside`, for 30 s; and `own_reads`, 1 when its
    readers share no hold. Says `owner`, and `inside` now and then with the number of stays so far.
    """
    async with Session.open(url, ttl=how["ttl"]) as session:
        kept = [
            await Lock(session, f"{name}-{os.getpid()}-{number}", ttl=30.0).acquire()
            for number in range(int(how["beside"]))
        ]
        lease = ReadersWritersLease(session, name, max_hold=3600.0 if how["own_reads"] else None)
        contender = _Contender(lease, Referee(Path(path), os.getpid()), gap_ns(how["ttl"]))
        report("owner", inside.owner_of(session))
        report("beside", len(kept))
        await asyncio.gather(
            contender.tell(),
            contender.watch(),
            *(contender.go_on(f"{seed} {number}") for number in range(int(how["tasks"]))),
        )


class _Contender:
    """Many tasks that come and go. A writer writes to the guarded store, also when its lease is over: the store has
    to refuse that."""

    def __init__(self, catalog: ReadersWritersLease, referee: Referee, gap: int) -> None:
        self._catalog = catalog
        self._referee = referee
        self._gap = gap
        self._stays = 0

    async def go_on(self, seed: str) -> None:
        choice = random.Random(seed)  # noqa: S311  # no secret
        while True:
            with contextlib.suppress(LeaseLost):
                if choice.random() < 0.15:
                    await self._write(choice)
                else:
                    await self._read(choice)
            await asyncio.sleep(choice.random() * 0.01)

    async def _read(self, choice: random.Random) -> None:
        async with self._catalog.read() as lease:
            visit = self._referee.enter("r", lease.token, now())
            try:
                await asyncio.sleep(choice.random() * 0.008)
            finally:
                self._leave(visit)

    async def _write(self, choice: random.Random) -> None:
        async with self._catalog.write() as lease:
            visit = self._referee.enter("w", lease.token, now())
            try:
                for _ in range(choice.randrange(4)):
                    await asyncio.sleep(choice.random() * 0.004)
                    self._store(lease)
            finally:
                # In this order, who is stopped before it has left has a write to come.
                self._leave(visit)
                self._store(lease)

    def _store(self, lease: Lease) -> None:
        self._referee.write(lease.token, lambda: lease.seconds_left <= 0)

    def _leave(self, visit: int) -> None:
        self._referee.leave(visit)
        self._stays += 1

    async def watch(self) -> None:
        """Tell the referee when this loop had no turn for longer than a lease allows for."""
        before = now()
        while True:
            await asyncio.sleep(0.005)
            after = now()
            if after - before > self._gap:
                self._referee.gap(before, after)
            before = after

    async def tell(self) -> None:
        while True:
            report("inside", self._stays)
            await asyncio.sleep(0.1)


async def write(url: str, name: str, ttl: float) -> None:
    """Write under a lease until the process is killed; says `holds` with the token."""
    async with Session.open(url, ttl=ttl) as session, ReadersWritersLease(session, name).write() as lease:
        report("holds", lease.token)
        await asyncio.Event().wait()


async def wait_under(url: str, name: str, ttl: float) -> None:
    """Wait for one notification of a condition; says `waits`, and `woken`."""
    async with Session.open(url, ttl=ttl) as session:
        condition = Condition(session, name)
        async with condition:
            report("waits", inside.owner_of(session))
            await condition.wait()
            report("woken")
        await asyncio.Event().wait()


async def meet(url: str, name: str, ttl: float, parties: int, tasks: int) -> None:
    """Have so many tasks wait at a barrier; says `passed` with the number of each, `broken` where it breaks."""
    async with Session.open(url, ttl=ttl) as session:
        barrier = Barrier(session, name, parties)

        async def wait() -> None:
            try:
                report("passed", await barrier.wait())
            except BrokenBarrierError:
                report("broken")

        await asyncio.gather(*(wait() for _ in range(tasks)))


async def robbed(url: str, name: str, ttl: float) -> None:
    """Hold a lock until it is lost; says `holds` with the token, then `lost`."""
    async with Session.open(url, ttl=ttl) as session:
        try:
            async with Lock(session, name) as lease:
                report("holds", lease.token)
                await asyncio.Event().wait()
        except LeaseLost:
            report("lost")


async def candidate(url: str, name: str, ttl: float, path: str) -> None:
    """Stand for leader until the process is killed, and write to the referee while leading.

    Says `leads` with the token, and `lost` when that is over.
    """
    referee = Referee(Path(path), os.getpid())
    async with Session.open(url, ttl=ttl) as session:
        async for term in leader(session, name):
            async with term as lease:
                report("leads", lease.token)
                try:
                    while True:
                        lease.check()
                        _write(referee, lease)
                        await asyncio.sleep(0.005)
                finally:
                    report("lost")


def _write(referee: Referee, lease: Lease) -> None:
    referee.write(lease.token, lambda: lease.seconds_left <= 0)
