"""What the processes of the campaign `locks` do: they read and write under leases, and write down each step."""

import asyncio
import contextlib
import os
import random
import time
from pathlib import Path
from typing import Final

from shared.concurrency import LeaseLost, ReadersWritersLease, Session
from tests.campaigns.fleet_processes import only_errors
from tests.instruments.processes import report

STAYS: Final = 15
"""So many stays of each task under one name; then all go on to the next one. Short histories are checked fast."""


async def contend(url: str, base: str, ttl: float, folder: str, tasks: int) -> None:
    """Read and write until killed. Each line: what, which stay, the lease's name, and when."""
    only_errors()
    file = os.open(Path(folder) / f"stays-{os.getpid()}-{time.monotonic_ns()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(what: str, stay: str, name: str) -> None:
        os.write(file, f"{what} {stay} {name} {time.monotonic_ns()}\n".encode())

    async def go_on(session: Session, task: int) -> None:
        chance = random.Random()  # noqa: S311  # no secret
        count = 0
        while True:
            # By the clock, so that those of all processes meet.
            name = f"{base}-{int(time.monotonic() * 2)}"
            lease = ReadersWritersLease(session, name)
            for _ in range(STAYS):
                count += 1
                stay = f"{os.getpid()}.{task}.{count}"
                word = "write" if chance.random() < 0.3 else "read"
                note(word, stay, name)
                with contextlib.suppress(LeaseLost):
                    async with lease.write() if word == "write" else lease.read() as held:
                        note("in", stay, name)
                        await asyncio.sleep(chance.random() * 0.01)
                        if held.seconds_left <= 0:
                            note("late", stay, name)
                        note("leaves", stay, name)
                note("out", stay, name)
                await asyncio.sleep(chance.random() * 0.01)

    async with Session.open(url, ttl=ttl, connect_timeout=60.0) as session:
        report("ready")
        await asyncio.gather(*(go_on(session, task) for task in range(tasks)))
