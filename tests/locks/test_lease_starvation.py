"""Who starves under which policy: streams of readers or writers that never end, and one who wants in."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.concurrency import ReadersWritersLease, Session
from shared.concurrency.locks.leases.read_write_holds import Policy
from tests.instruments import lease_processes
from tests.instruments.processes import running
from tests.instruments.waiting import until

pytestmark = pytest.mark.timing

_BODY = 0.01


class Stream:
    """Holders of two sessions that take turns so closely that one of them is always inside or waits.

    Readers who go first never leave before another one is inside; under the other policies that would keep everybody
    out.
    """

    def __init__(self, sessions: tuple[Session, Session], name: str, policy: Policy, mode: str) -> None:
        self._leases = [ReadersWritersLease(session, name, policy) for session in sessions]
        self._mode = mode
        self._overlap = policy == "readers" and mode == "read"
        self._inside = 0
        self._change = asyncio.Condition()
        self.stays = 0

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Inside the block the stream goes on."""
        tasks = [asyncio.create_task(self._flow(number)) for number in range(6)]
        try:

            async def look() -> int:
                return self.stays

            await until(look, lambda stays: stays > 6)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _flow(self, number: int) -> None:
        lease = self._leases[number % 2]
        while True:
            async with lease.read() if self._mode == "read" else lease.write():
                async with self._change:
                    self._inside += 1
                    self._change.notify_all()
                await asyncio.sleep(_BODY)
                async with self._change:
                    await self._change.wait_for(lambda: not self._overlap or self._inside > 1)
                    self._inside -= 1
                self.stays += 1


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[tuple[Session, Session, Session]]:
    async with Session.open(url) as a, Session.open(url) as b, Session.open(url) as c:
        yield a, b, c


async def stays_until_in(
    sessions: tuple[Session, Session, Session], name: str, policy: Policy, *, stream: str, patience: float
) -> int | None:
    """How many stays of the stream end while one of the other mode stands in line; None when it does not get in.

    Counted from when the server says that it stands there: how long its process waits for a CPU before is not asked.
    """
    lease = ReadersWritersLease(sessions[2], name, policy)
    flow = Stream(sessions[:2], name, policy, stream)
    mode = "write" if stream == "read" else "read"

    async def enter() -> int | None:
        try:
            async with asyncio.timeout(patience), lease.write() if mode == "write" else lease.read():
                return flow.stays
        except TimeoutError:
            return None

    async with flow.flowing():
        entering = asyncio.create_task(enter())

        async def stands() -> bool:
            waiters = (await lease.statistics()).waiters
            return entering.done() or any(waiter.mode == mode for waiter in waiters)

        await until(stands, bool)
        before = flow.stays
        after = await entering
        return None if after is None else max(0, after - before)


@pytest.mark.parametrize("policy", ["fair", "writers"])
async def test_a_writer_gets_in_within_one_phase_of_readers(
    sessions: tuple[Session, Session, Session], name: str, policy: Policy
) -> None:
    waited = [await stays_until_in(sessions, name, policy, stream="read", patience=30) for _ in range(10)]
    # Six read at once: those who are inside when it comes, and at most as many who came in while the news travelled.
    assert all(stays is not None and stays <= 12 for stays in waited), waited


async def test_a_writer_waits_for_ever_when_readers_go_first(
    sessions: tuple[Session, Session, Session], name: str
) -> None:
    assert await stays_until_in(sessions, name, "readers", stream="read", patience=1.5) is None


@pytest.mark.parametrize("policy", ["fair", "readers"])
async def test_a_reader_gets_in_behind_one_writer(
    sessions: tuple[Session, Session, Session], name: str, policy: Policy
) -> None:
    waited = [await stays_until_in(sessions, name, policy, stream="write", patience=30) for _ in range(10)]
    assert all(stays is not None and stays <= 2 for stays in waited), waited


async def test_a_reader_waits_for_ever_when_writers_go_first(
    sessions: tuple[Session, Session, Session], name: str
) -> None:
    assert await stays_until_in(sessions, name, "writers", stream="write", patience=1.5) is None


@pytest.mark.measured
@pytest.mark.parametrize("ttl", [0.5, 1.5])
async def test_a_dead_holder_delays_others_by_its_time_to_live_at_most(
    sessions: tuple[Session, Session, Session], url: str, name: str, ttl: float
) -> None:
    async with running(lease_processes.write, url, name, ttl) as process:
        await process.said("holds")
        waiting = asyncio.create_task(ReadersWritersLease(sessions[0], name).read().acquire())
        await process.kill()
        killed_at = time.monotonic()
        lease = await waiting
        # 0.3 s for a machine that is busy with other tests.
        assert time.monotonic() - killed_at < ttl + 0.3
        await lease.release()
