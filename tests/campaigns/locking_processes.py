"""What the processes of a lock campaign do: they read and write under leases, and write down each step."""

import asyncio
import contextlib
import os
import random
import time
from pathlib import Path
from typing import Final

from shared.concurrency import LeaseLost, ReadersWritersLease, Session
from tests.campaigns.fleet_processes import only_errors
from tests.campaigns.pulse import pulse
from tests.campaigns.store import Access
from tests.instruments.processes import report

STAYS: Final = 15
"""So many stays of each task under one name; then all go on to the next one. Short histories are checked fast."""


async def contend(url: str, base: str, ttl: float, folder: str, store: str, tasks: int) -> None:  # noqa: PLR0917
    """Read and write until killed. Each line: what, which stay, the lease's name, the token, and when."""
    only_errors()
    access = Access(store)
    async with (
        pulse(Path(folder), f"{os.getpid()}"),
        Session.open(url, ttl=ttl, connect_timeout=60.0) as session,
    ):
        contenders = [_Contender(session, base, access, Path(folder), task) for task in range(tasks)]
        report("ready")
        await asyncio.gather(*(each.go_on() for each in contenders))


class _Contender:
    """One task that comes and goes. It tries the store when its lease is over, too: the store has to refuse that."""

    def __init__(self, session: Session, base: str, access: Access, folder: Path, task: int) -> None:
        self._session = session
        self._base = base
        self._access = access
        self._chance = random.Random()  # noqa: S311  # no secret
        self._who = f"{os.getpid()}.{task}"
        path = folder / f"stays-{os.getpid()}-{task}-{time.monotonic_ns()}"
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
        self._count = 0

    async def go_on(self) -> None:
        """Stay after stay, under name after name."""
        while True:
            # By the clock, so that those of all processes meet.
            name = f"{self._base}-{int(time.monotonic() * 2)}"
            lease = ReadersWritersLease(self._session, name)
            for _ in range(STAYS):
                self._count += 1
                await self._stay(lease, name, f"{self._who}.{self._count}")
                await asyncio.sleep(self._chance.random() * 0.01)

    async def _stay(self, lease: ReadersWritersLease, name: str, stay: str) -> None:
        word = "write" if self._chance.random() < 0.3 else "read"
        self._note(word, stay, name)
        with contextlib.suppress(LeaseLost):
            async with lease.write() if word == "write" else lease.read() as held:
                self._note("in", stay, name, held.token)
                try:
                    await asyncio.sleep(self._chance.random() * 0.01)
                finally:
                    self._access.try_with(word, name, stay, held.token, is_late=held.seconds_left <= 0)
                    # It left at this moment, if its lease is good after it: the process may be stopped in between.
                    left = time.monotonic_ns()
                    if held.seconds_left <= 0:
                        self._note("late", stay, name)
                self._note("leaves", stay, name, at=left)
        self._note("out", stay, name)

    def _note(self, what: str, stay: str, name: str, token: int = 0, at: int = 0) -> None:
        os.write(self._file, f"{what} {stay} {name} {token} {at or time.monotonic_ns()}\n".encode())
