"""Several processes with hundreds of readers and writers; kill -9, SIGSTOP past the deadline; a referee outside Redis.

`./run campaign SECONDS` runs it for longer.
"""

import asyncio
import itertools
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from shared.concurrency import ReadersWritersLease, Session
from tests.instruments import lease_processes
from tests.instruments.processes import Process, running
from tests.instruments.referee import Referee, Visit, now, overlaps
from tests.instruments.waiting import until

SECONDS: Final = float(os.environ.get("WEIR_CAMPAIGN_SECONDS", "4"))
SLOW_SECONDS: Final = 12.0
PROCESSES: Final = 3
TASKS: Final = 70

pytestmark = [pytest.mark.timing, pytest.mark.timeout(max(SECONDS, SLOW_SECONDS) * 2 + 60)]


class Campaign:
    """Processes that contend, and what is done to them."""

    def __init__(self, arguments: tuple[str, str, str], stack: AsyncExitStack, lease: ReadersWritersLease) -> None:
        self._arguments = arguments
        self._stack = stack
        self._lease = lease
        self._seeds = itertools.count(time.time_ns())
        self.broken_off: dict[int, list[int]] = {}
        self.processes: list[Process] = []
        self.kills = self.stops = 0

    async def start(self) -> None:
        process = await self._stack.enter_async_context(
            running(lease_processes.contend, *self._arguments, TASKS, next(self._seeds))
        )
        self.processes.append(process)
        await process.said("inside")

    async def kill_one(self) -> None:
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

        await until(last_token, token.__lt__)
        process.cont()
        await until(refusals, bool)
        self.stops += 1


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(SLOW_SECONDS, marks=pytest.mark.slow)])
async def test_a_writer_is_always_alone_and_stale_writes_are_refused(
    url: str, name: str, tmp_path: Path, seconds: float
) -> None:
    path = tmp_path / "referee.sqlite"
    Referee.create(path)
    referee = Referee(path, os.getpid())
    ends_at = time.monotonic() + seconds
    async with AsyncExitStack() as stack, Session.open(url) as session:
        lease = ReadersWritersLease(session, name)
        campaign = Campaign((url, name, str(path)), stack, lease)
        await asyncio.gather(*(campaign.start() for _ in range(PROCESSES)))
        while time.monotonic() < ends_at or campaign.stops < 2:
            await campaign.kill_one()
            await campaign.stop_a_writer(referee)
    visits = referee.visits()
    found = overlaps(visits, campaign.broken_off, referee.gaps(), lease_processes.GAP_NS)
    assert found == []
    assert len(visits) > 25 * seconds
    assert campaign.kills >= 2
    # Who was refused knew that its lease was over: nobody has written with a larger token while it was not.
    assert referee.refused(stale=False) == 0
    assert referee.refused(stale=True) >= campaign.stops >= 2
    assert referee.accepted_out_of_order() == 0
    referee.close()
    # Dead holders and waiters are gone a time to live later, and nobody waits for ever.
    async with Session.open(url) as session:
        lease = ReadersWritersLease(session, name)
        async with asyncio.timeout(5), lease.write():
            pass
        await until(lease.statistics, lambda state: not state.holders and not state.waiters)


def test_the_referee_sees_an_overlap() -> None:
    reader, writer = Visit(1, "r", 1, 10, 20), Visit(2, "w", 2, 15, 30)
    assert overlaps([reader, writer], {}) == [(reader, writer)]
    assert overlaps([reader, writer], {1: [12]}) == []
    assert overlaps([reader, Visit(2, "r", 2, 15, 30)], {}) == []
    assert overlaps([Visit(1, "w", 1, 10, 14), writer], {}) == []


def test_the_referee_excuses_who_was_starved_and_nobody_else() -> None:
    reader, writer = Visit(1, "r", 1, 10, 40), Visit(2, "w", 2, 30, 50)
    assert overlaps([reader, writer], {}, {1: [(20, 35)]}) == []
    assert overlaps([reader, writer], {}, {2: [(20, 35)]}) == []
    assert overlaps([reader, writer], {}, {1: [(20, 25)]}, slack=5) == []
    assert overlaps([reader, writer], {}, {1: [(20, 25)], 3: [(0, 100)]}) == [(reader, writer)]
    assert overlaps([reader, writer], {}, {1: [(35, 60)]}) == [(reader, writer)]
