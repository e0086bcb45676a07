"""What several snapshots say: rates, percentiles of the last minute, who held a lease."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from monitor.history import History
from monitor.link import open_link
from monitor.snapshot import Snapshot
from monitor.watch import Watch, open_watch
from shared.concurrency import Lock, Queue, ReadersWritersLease, Session
from shared.concurrency.queues.snapshot import SessionLoad, SessionSnapshot
from shared.concurrency.session.histogram import BOUNDS, Histogram, Measured
from tests.instruments.inside import owner_of
from tests.instruments.waiting import resolved, until


@pytest.fixture
async def watch(url: str, name: str, session: Session) -> AsyncIterator[Watch]:
    """A watch that knows a queue and a lease of that name."""
    await Queue(session, name, int, maxsize=10).statistics()
    async with Lock(session, name):
        pass
    async with open_link(url) as link, open_watch(link) as watch:
        yield watch


def later(snapshot: Snapshot, at: float) -> Snapshot:
    """The same, as if it had been taken then."""
    return snapshot.model_copy(update={"at": at})


async def test_rates_are_differences_over_the_time_between(watch: Watch, session: Session, name: str) -> None:
    queue, history = Queue(session, name, int), History()
    assert history.rates(name) is None
    history.add(later(await watch.snapshot(), 100.0))
    assert history.rates(name) is None
    await queue.put_many(range(8))
    for _ in range(4):
        async with await queue.get():
            pass
    await (await queue.get()).dead_letter("unwanted")
    history.add(later(await watch.snapshot(), 104.0))
    found = history.rates(name)
    assert found is not None
    assert (found.put, found.acked, found.nacked, found.dead, found.waited) == (2.0, 1.0, 0.0, 0.25, 0.0)
    # After ten seconds without anything all rates are 0.
    history.add(later(await watch.snapshot(), 113.0))
    history.add(later(await watch.snapshot(), 123.0))
    found = history.rates(name)
    assert found is not None
    assert (found.put, found.acked) == (0.0, 0.0)


async def test_puts_that_wait_are_seconds_waited_each_second(watch: Watch, session: Session, name: str) -> None:
    queue, history = Queue(session, name, int), History()
    history.add(later(await watch.snapshot(), 100.0))
    waiting = asyncio.create_task(queue.put_many(range(14)))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 4)
    history.add(later(await watch.snapshot(), 101.0))
    found = history.rates(name)
    assert found is not None
    assert found.waited == 2.0
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_counters_that_began_anew_have_no_rate(watch: Watch, client: Redis, session: Session, name: str) -> None:
    queue, history = Queue(session, name, int), History()
    await queue.put(1)
    history.add(later(await watch.snapshot(), 100.0))
    await client.delete(f"{{{name}}}:totals")
    history.add(later(await watch.snapshot(), 101.0))
    assert history.rates(name) is None
    history.add(later(await watch.snapshot(), 161.5))
    assert history.latest is not None
    assert history.latest.at == 161.5
    assert len(history._snapshots) == 1  # what is older than a minute is gone


async def test_another_run_of_the_server_begins_a_new_history(watch: Watch, name: str) -> None:
    history, seen = History(), await watch.snapshot()
    history.add(later(seen, 100.0))
    other = seen.server.model_copy(update={"run_id": "another"})
    history.add(seen.model_copy(update={"at": 101.0, "server": other}))
    assert history.rates(name) is None


async def test_percentiles_are_of_the_last_minute(watch: Watch, name: str) -> None:
    seen = await watch.snapshot()

    def with_loads(at: float, **loads: list[float]) -> Snapshot:
        queue = seen.queue(name)
        assert queue is not None
        sessions = tuple(_session(owner, measured(times)) for owner, times in loads.items())
        queues = tuple(replace(each, sessions=sessions) if each.name == name else each for each in seen.queues)
        return seen.model_copy(update={"at": at, "queues": queues})

    history = History()
    history.add(with_loads(100.0, one=[0.02] * 10))
    assert history.measured(name, "handling").total == 10
    # One goes on, one is new, and what the first had done before counts no more.
    history.add(with_loads(101.0, one=[0.02] * 10 + [7.0] * 3, two=[0.2]))
    found = history.measured(name, "handling")
    assert (found.total, sum(found.counts[bisect_left(BOUNDS, 7.0) :])) == (4, 3)
    # It began anew under the same name, as no process does; and the other is gone.
    history.add(with_loads(102.0, one=[0.02]))
    assert history.measured(name, "handling").total == 1
    assert history.measured("nowhere", "handling").total == 0


def measured(times: list[float]) -> Measured:
    histogram = Histogram()
    for each in times:
        histogram.observe(each)
    return Measured(tuple(histogram.counts), histogram.seconds)


def _session(owner: str, handling: Measured) -> SessionSnapshot:
    return SessionSnapshot(
        owner=owner, session=f"{owner}.1.10000", pid=7, host="host", since=1.0, seconds_left=7.0, held=0,
        is_consumer=True, is_draining=False, load=SessionLoad(10, 1.0, Measured(), handling),
    )  # fmt: skip


@pytest.mark.parametrize(
    "times,share,low,high",
    [
        ([0.02] * 99 + [7.0], 0.5, 0.01, 0.025), ([0.02] * 99 + [7.0], 0.95, 0.01, 0.025), ([0.02] * 98 + [7.0] * 2, 0.99, 5, 10),
        ([0.0001], 0.5, 0.0, 0.001), ([100_000.0], 0.5, 3600, 3600), ([0.02, 7.0], 1.0, 5, 10),
    ],
)  # fmt: skip
def test_a_quantile_is_within_its_bucket(times: list[float], share: float, low: float, high: float) -> None:
    found = measured(times).quantile(share)
    assert found is not None
    assert low <= found <= high


def test_nothing_measured_has_no_quantile() -> None:
    assert Measured().quantile(0.5) is None


async def test_a_strip_says_who_held_and_what_came_and_went(
    watch: Watch, client: Redis, session: Session, other: Session, name: str
) -> None:
    here, there, history = ReadersWritersLease(session, name), ReadersWritersLease(other, name), History()
    history.add(later(await watch.snapshot(), 100.0))
    async with here.write():
        reading = asyncio.create_task(there.read().acquire())
        await until(lambda: client.zcard(f"{{{name}}}:lease:waiting"), lambda count: count == 1)
        history.add(later(await watch.snapshot(), 101.0))
    held = await reading
    history.add(later(await watch.snapshot(), 102.0))
    await held.release()
    for _ in range(3):
        async with there.write():
            pass
    history.add(later(await watch.snapshot(), 103.0))
    first, writes, reads, rests = history.slices(name)
    me, them = owner_of(session), owner_of(other)
    assert (first.others, first.grants.permit) == ((), 0)
    assert (writes.others, writes.readers, writes.waiters, writes.grants.write) == ((me,), (), (them,), 1)
    assert (reads.others, reads.readers, reads.waiters, reads.grants.read) == ((), (them,), (), 1)
    assert (rests.others, rests.readers, rests.grants.write, rests.lost) == ((), (), 3, ())
    assert history.slices("nowhere") == []


async def test_a_hold_that_ran_out_is_lost(watch: Watch, client: Redis, name: str) -> None:
    history, keys = History(), (f"{{{name}}}:lease", f"{{{name}}}:lease:holders")
    now, _ = await client.time()
    await resolved(client.hset(keys[0], "abcdefghijkl.1.10000", f"w 7 {now}000 7 host task"))
    for at, left in ((94.0, 12), (100.0, 5)):
        await client.zadd(keys[1], {"abcdefghijkl.1.10000": (now + left) * 1000})
        history.add(later(await watch.snapshot(), at))
    await client.delete(keys[1])
    history.add(later(await watch.snapshot(), 110.0))
    assert [each.lost for each in history.slices(name)] == [(), (), ("abcdefghijkl",)]


@pytest.mark.session_ttl(0.5)
async def test_a_hold_that_was_released_is_not_called_lost_however_short_it_lives(
    watch: Watch, session: Session, name: str
) -> None:
    history = History()
    async with Lock(session, name):
        held = await watch.snapshot()
    lease = held.lease(name)
    assert lease is not None
    assert lease.holders[0].seconds_left <= 0.5
    for at, snapshot in ((100.0, held), (101.0, await watch.snapshot())):
        history.add(later(snapshot, at))
    assert [each.lost for each in history.slices(name)] == [(), ()]
