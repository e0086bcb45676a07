"""A campaign: processes that contend for one lease are killed and stopped; a referee outside Redis judges."""

import asyncio
import itertools
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from shared.concurrency import ReadersWritersLease, Session
from tests.instruments import figures, lease_processes
from tests.instruments.processes import Process, running
from tests.instruments.referee import Referee, now, overlaps
from tests.instruments.waiting import until


@dataclass(frozen=True)
class Storm:
    """What contends, and for how long."""

    seconds: float
    processes: int = 3
    tasks: int = 70
    """In each of them."""
    ttl: float = lease_processes.CONTENDER_TTL
    own_reads: bool = False
    """Whether the readers of a process share no hold, so that each of them waits at the server."""
    beside: int = 0
    """So many other names each process holds with a time to live of 30 s."""
    stops_writers: bool = True
    """Stop a process while it writes, so that its write is refused later; else wherever it is."""
    visits_a_second: float = 25.0
    """Fewer than that are no storm."""


class Campaign:
    """Processes that contend, and what is done to them."""

    def __init__(
        self, where: tuple[str, str, str], storm: Storm, stack: AsyncExitStack, lease: ReadersWritersLease
    ) -> None:
        """Prepare. `where`: the address that the processes use, the lease's name, and the referee's file."""
        self._where = where
        self._how = {
            "tasks": storm.tasks, "ttl": storm.ttl, "beside": storm.beside, "own_reads": int(storm.own_reads)
        }  # fmt: skip
        self._stack = stack
        self._lease = lease
        self._seeds = itertools.count(time.time_ns())
        self.broken_off: dict[int, list[int]] = {}
        self.processes: list[Process] = []
        self.kills = self.stops = 0

    async def start(self) -> None:
        """Start one process more."""
        process = await self._stack.enter_async_context(
            running(lease_processes.contend, *self._where, next(self._seeds), self._how)
        )
        self.processes.append(process)
        await process.said("inside", seconds=40)

    async def kill_one(self) -> None:
        """Kill the oldest one, and start another."""
        process = self.processes.pop(0)
        await process.kill()
        self.broken_off.setdefault(process.pid, []).append(now())
        self.kills += 1
        await self.start()

    async def stop_a_writer(self, referee: Referee) -> None:
        """Stop a process while it writes, until somebody else has written; then let it go on, to be refused."""
        while True:
            process = self.processes[-1]
            owner = await process.said("owner")
            self.broken_off.setdefault(process.pid, []).append(now())
            process.stop()
            held = [holder for holder in (await self._lease.statistics()).holders if holder.mode == "write"]
            writes = [holder.owner for holder in held] == [owner] and held[0].token <= referee.last_token()
            if writes and referee.is_inside(held[0].token) and referee.can_be_written():
                break
            process.cont()
            self.broken_off[process.pid].pop()
            await asyncio.sleep(0.003)

        token = held[0].token

        async def last_token() -> int:
            return referee.last_token()

        async def refusals() -> int:
            return referee.refusals(token)

        await until(last_token, token.__lt__, seconds=90)
        process.cont()
        await until(refusals, bool, seconds=90)
        self.stops += 1

    async def stop_one(self) -> None:
        """Stop a process past the deadline of whatever it holds, then let it go on."""
        process = self.processes[-1]
        owner = await process.said("owner")
        self.broken_off.setdefault(process.pid, []).append(now())
        process.stop()
        await until(self._lease.statistics, lambda seen: all(each.owner != owner for each in seen.holders), seconds=90)
        process.cont()
        self.stops += 1


async def contended(direct: str, url: str, name: str, path: Path, storm: Storm) -> None:
    """Run a storm, and judge it. `direct`: the server's own address; `url`: the one of those who contend."""
    Referee.create(path)
    referee = Referee(path, os.getpid())
    ends_at = time.monotonic() + storm.seconds
    async with AsyncExitStack() as stack, Session.open(direct, ttl=storm.ttl) as session:
        lease = ReadersWritersLease(session, name)
        campaign = Campaign((url, name, str(path)), storm, stack, lease)
        await asyncio.gather(*(campaign.start() for _ in range(storm.processes)))
        while time.monotonic() < ends_at or campaign.stops < 2:
            await campaign.kill_one()
            await (campaign.stop_a_writer(referee) if storm.stops_writers else campaign.stop_one())
    visits = referee.visits()
    gap = lease_processes.gap_ns(storm.ttl)
    assert overlaps(visits, campaign.broken_off, referee.gaps(), gap) == []
    figures.count("stays", len(visits))
    figures.count("kills", campaign.kills)
    figures.count("stops", campaign.stops)
    figures.count("late writes refused", referee.refused(stale=True))
    assert len(visits) > storm.visits_a_second * storm.seconds
    assert campaign.kills >= 2
    # Who was refused knew that its lease was over: nobody has written with a larger token while it was not.
    assert referee.refused(stale=False) == 0
    assert campaign.stops >= 2
    assert referee.refused(stale=True) >= campaign.stops or not storm.stops_writers
    assert referee.accepted_out_of_order() == 0
    referee.close()
    # Dead holders and waiters are gone a time to live later, and nobody waits for ever.
    async with Session.open(direct) as session:
        lease = ReadersWritersLease(session, name)
        async with asyncio.timeout(5 + storm.ttl), lease.write():
            pass
        await until(lease.statistics, lambda state: not state.holders and not state.waiters)
