"""Tasks that are started inside a read or a write: whose hold they may join, and what they would wait for."""

import asyncio
from contextvars import Context

import pytest

from shared.concurrency import ReadersWritersLease, Session
from tests.instruments import inside
from tests.instruments.lease_waiters import Waiters, waiters
from tests.instruments.waiting import resolved, until

pytestmark = pytest.mark.timeout(180)


class Chain:
    """Reads that each start a child, which reads before they leave, until `over` is set."""

    def __init__(self, catalog: ReadersWritersLease) -> None:
        self._catalog = catalog
        self.over = asyncio.Event()
        self.reads = 0
        self.longest = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self) -> asyncio.Event:
        """Start a link; the event is set once it reads."""
        reads = asyncio.Event()
        task = asyncio.create_task(self._link(reads))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return reads

    async def _link(self, reads: asyncio.Event) -> None:
        async with self._catalog.read() as lease:
            reads.set()
            self.reads += 1
            self.longest = max(self.longest, inside.leases_kept_by(lease))
            if not self.over.is_set():
                child = self.start()
                try:
                    async with asyncio.timeout(0.05):  # it waits for ever where this one must leave first
                        await child.wait()
                except TimeoutError:
                    pass

    async def end(self) -> None:
        self.over.set()
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def grown(self, reads: int) -> None:
        await until(lambda: resolved(self.reads), lambda seen: seen >= reads)


async def test_reads_that_each_start_a_reading_child_keep_no_writer_out(
    session: Session, other: Session, name: str
) -> None:
    chain = Chain(ReadersWritersLease(session, name, ttl=1.5))
    chain.start()
    await chain.grown(10)
    try:
        async with asyncio.timeout(100), ReadersWritersLease(other, name, ttl=1.5).write():
            pass
    finally:
        await chain.end()


async def test_reads_that_each_start_a_reading_child_keep_no_lease_in_memory(session: Session, name: str) -> None:
    chain = Chain(ReadersWritersLease(session, name))
    chain.start()
    await chain.grown(300)
    await chain.end()
    assert chain.longest <= 3


async def test_a_task_reads_again_however_long_a_writer_has_waited_and_its_child_waits(
    session: Session, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = ReadersWritersLease(session, name, ttl=0.9)
    queued = Waiters(catalog)
    async with catalog.read():
        await queued.join("w", ReadersWritersLease(other, name, ttl=0.9).write())
        async with asyncio.timeout(5):
            while not inside.is_closed_to_children(session, name, 0.9):
                async with catalog.read():
                    await asyncio.sleep(0.05)
        async with catalog.read():
            pass

        async def child() -> None:
            async with catalog.read():
                queued.order.append("child")

        reading = asyncio.create_task(child())
        await waiters(catalog, 2)
        assert queued.order == []
        assert "does that wait for it?" not in caplog.text
        await until(lambda: resolved(caplog.text), lambda text: "does that wait for it?" in text)
    await queued.inside("w")
    queued.may_leave["w"].set()
    await queued.end()
    await reading
    assert queued.order == ["w", "child"]


@pytest.mark.parametrize("mode", ["read", "write"])
async def test_a_child_that_asks_inside_its_parent_s_write_raises(session: Session, name: str, mode: str) -> None:
    catalog = ReadersWritersLease(session, name)
    started = asyncio.Event()
    may_ask = asyncio.Event()

    async def ask() -> str:
        started.set()
        await may_ask.wait()
        async with getattr(ReadersWritersLease(session, name), mode)() as lease:
            return str(lease.mode)

    async with catalog.write():
        async with asyncio.timeout(5):
            may_ask.set()
            outcomes = await asyncio.gather(ask(), ask(), return_exceptions=True)
        assert [type(each) for each in outcomes] == [RuntimeError] * 2
        may_ask.clear()
        started.clear()
        later = asyncio.create_task(ask())
        elsewhere = asyncio.create_task(ask(), context=Context())
        await started.wait()
    # The write has ended: nothing is in the way.
    may_ask.set()
    assert [await later, await elsewhere] == [mode] * 2


async def test_a_child_reads_on_where_its_parent_has_downgraded(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)

    async def read() -> int:
        async with catalog.read() as lease:
            return lease.token

    async with catalog.write() as lease:
        await lease.downgrade()
        async with asyncio.timeout(5):
            assert set(await asyncio.gather(read(), read())) == {lease.token}
