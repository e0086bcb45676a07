"""Feed: one watcher of the cluster, for all who read the page."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from monitor.history import LENGTH, History, Rates
from monitor.link import Link
from monitor.processes import Processes
from monitor.snapshot import Snapshot
from monitor.watch import Watch, open_watch
from shared.concurrency import ConcurrencyError
from shared.concurrency.queues.snapshot import QueueSnapshot
from shared.concurrency.session.clock import boottime
from shared.logs import Log

log = Log("monitor")

EVERY: Final = 1.0
"""Seconds between two snapshots."""
AGAIN: Final = 2.0
"""Seconds until a server that does not answer is asked again."""
CHEAP: Final = 0.05
"""Seconds that a look at all keys may take to be done sooner than every 30 s: each second while there is no queue, and
every `SOON` seconds in the first `YOUNG` ones."""
SOON: Final = 5.0
YOUNG: Final = 60.0
SHARES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Point:
    """A queue at one moment of the last minute, as the charts show it."""

    at: float
    queue: QueueSnapshot
    rates: Rates | None
    waiting: tuple[float | None, ...]
    """p50, p95 and p99 in seconds, of the minute before."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no new snapshot."""

    text: str
    since: float
    """When it began, by the local clock."""


class Feed:
    """Takes a snapshot every second, whether one reads or a hundred."""

    def __init__(self, link: Link) -> None:
        """`keep` begins to watch."""
        self.link: Final = link
        self.history = History()
        self.trouble: Trouble | None = None
        self.seen_at: float | None = None
        """When the last snapshot was taken, by the local clock."""
        self.names = Processes()
        self._points: dict[str, deque[Point]] = {}
        self._next = asyncio.Event()
        self._is_closed = False

    @property
    def latest(self) -> Snapshot | None:
        """The last snapshot."""
        return self.history.latest

    def points(self, name: str) -> list[Point]:
        """A queue at each moment of the last minute."""
        return list(self._points.get(name, ()))

    async def ticks(self) -> AsyncIterator[None]:
        """Wake at once, then whenever there is something new, until the feed is closed."""
        while not self._is_closed:
            upcoming = self._next
            yield
            await upcoming.wait()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        watching = asyncio.create_task(self._go_on(), name="weir-feed")
        try:
            yield
        finally:
            self.close()
            watching.cancel()
            await asyncio.wait({watching})

    def close(self) -> None:
        """End all `ticks`."""
        self._is_closed = True
        self._wake()

    async def _go_on(self) -> None:
        while True:
            try:
                async with open_watch(self.link) as watch:
                    await self._watch(watch)
            except ConcurrencyError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001  # a defect of one snapshot must not blind the page for good
                log.defect(error, "a snapshot could not be made")
                self._fail(f"the monitor has a defect: {type(error).__name__}; its log says more")
            await asyncio.sleep(AGAIN)

    async def _watch(self, watch: Watch) -> None:
        began = due = looked_at = boottime()
        took = 0.0
        while True:
            snapshot = await watch.snapshot()
            self._add(snapshot)
            due = max(due + EVERY, boottime())
            await asyncio.sleep(due - boottime())
            # What is started together with us is seen before the next look at all keys, where they are few.
            is_due = not snapshot.queues or (due - began < YOUNG and due - looked_at >= SOON)
            if is_due and took < CHEAP:
                looked_at = boottime()
                await watch.look_again()
                took = boottime() - looked_at

    def _add(self, snapshot: Snapshot) -> None:
        before = self.latest
        if before is not None and before.server.run_id != snapshot.server.run_id:
            self._points.clear()
        self.history.add(snapshot)
        self.names.learn(snapshot)
        if self.trouble is not None:
            log.info("the server answers again", seconds=round(boottime() - self.trouble.since, 1))
        self.trouble, self.seen_at = None, boottime()
        for queue in snapshot.queues:
            measured = self.history.measured(queue.name, "waiting")
            waiting = tuple(measured.quantile(share) for share in SHARES)
            kept = self._points.setdefault(queue.name, deque())
            kept.append(Point(snapshot.at, queue, self.history.rates(queue.name), waiting))
            while snapshot.at - kept[0].at > LENGTH:
                kept.popleft()
        for name in self._points.keys() - {each.name for each in snapshot.queues}:
            del self._points[name]
        self._wake()

    def _fail(self, text: str) -> None:
        if self.trouble is None or self.trouble.text != text:
            log.warning("there is no snapshot", error=text)
        since = boottime() if self.trouble is None else self.trouble.since
        self.trouble = Trouble(text, since)
        self._wake()

    def _wake(self) -> None:
        woken, self._next = self._next, asyncio.Event()
        woken.set()


@asynccontextmanager
async def open_feed(link: Link) -> AsyncIterator[Feed]:
    """A feed over a link, which watches."""
    feed = Feed(link)
    async with feed.kept():
        yield feed
