"""What a process counts of its own work equals what the queue counts of it, however messages come and go."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    IdConflict,
    LeaseLost,
    Lock,
    Queue,
    QueueEmpty,
    QueueFull,
    ReadersWritersLease,
    Session,
    StaleDelivery,
)
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.session.histogram import Histogram
from shared.concurrency.session.session import process_of
from shared.concurrency.session.tally import Tally
from tests.instruments.inside import end_session, recover, renew_now, session_id_of
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


def counted(session: Session, what: str, about: str = "") -> int:
    return process_of(session).calls.tally.counts.get((what, about), 0)


def seen(session: Session, name: str) -> tuple[int, int, int]:
    return (
        counted(session, "messages_put", name), counted(session, "deliveries_acked", name),
        counted(session, "deliveries_nacked", name),
    )  # fmt: skip


def measured(session: Session) -> dict[str, Histogram]:
    """What was measured, by queue and by mode."""
    tally = process_of(session).calls.tally
    return {**(tally.put_waits or {}), **(tally.lease_waits or {})}


async def truth(queue: Queue[Any]) -> tuple[int, int, int]:
    statistics = await queue.statistics()
    return statistics.put_total, statistics.acked_total, statistics.nacked_total


async def step(queue: Queue[Any], chance: random.Random) -> None:
    """One call, or two; whatever it raises is as it should be."""
    number = chance.randrange(10)
    match chance.choice(
        ("put", "named", "nowait", "many", "cancelled", "take", "take", "take", "effect", "nack", "dead")
    ):
        case "put" if (await queue.statistics()).pending < 3:
            await queue.put(number)
        case "named" if (await queue.statistics()).pending < 3:
            with contextlib.suppress(IdConflict):
                await queue.put(number, id=str(chance.randrange(5)))
        case "nowait":
            with contextlib.suppress(QueueFull):
                await queue.put_nowait(number)
        case "many" | "cancelled":
            putting = asyncio.create_task(queue.put_many(range(6)))
            for _ in range(chance.randrange(4)):
                await take(queue, "take")
            await asyncio.sleep(0)
            putting.cancel()
            await asyncio.wait({putting})
        case how:
            await take(queue, how)


async def take(queue: Queue[Any], how: str) -> None:
    try:
        delivery = await queue.get_nowait()
    except QueueEmpty:
        return
    if how == "nack":
        await delivery.nack()
    elif how == "dead":
        await delivery.dead_letter("why")
    else:
        if how == "effect":
            delivery.effects.incrby(f"{{{queue.name}}}:n", 1)
        await delivery.ack()


@pytest.mark.parametrize("seed", range(8))
async def test_it_equals_what_the_queue_counts(session: Session, name: str, seed: int) -> None:
    queue = Queue(session, name, int, maxsize=4, max_attempts=2)
    chance = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(60):
        await step(queue, chance)
    there = await truth(queue)
    assert seen(session, name) == there
    assert min(there) > 0
    dead = {about: n for (what, about), n in process_of(session).calls.tally.counts.items() if what == "dead_letters"}
    assert sum(dead.values()) == (await queue.statistics()).dead_total


async def test_puts_that_waited_count_once_they_are_in(session: Session, other: Session, name: str) -> None:
    putting, taking = Queue(session, name, int, maxsize=1), Queue(other, name, int)
    many = asyncio.create_task(putting.put_many(range(5)))
    for number in range(5):
        async with await taking.get() as item:
            assert item == number
    await many
    assert seen(session, name)[0] == 5
    assert seen(other, name) == (0, 5, 0)


async def test_a_put_that_was_withdrawn_does_not_count(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.put(2)
    assert seen(session, name)[0] == (await queue.statistics()).put_total == 1


async def test_what_was_lost_recovered_and_late_counts(
    client: Redis, session: Session, other: Session, name: str
) -> None:
    queue, here = Queue(other, name, int), Queue(session, name, int)
    await queue.put_many(range(3))
    late = await queue.get()
    dead = session_id_of(other, name)
    await end_session(client, other, name)
    await recover(session, name, dead)
    assert counted(session, "deliveries_recovered", name) == 1
    with pytest.raises(StaleDelivery):
        await late.ack()
    assert counted(other, "sessions_lost", name) == 1
    assert counted(other, "stale_deliveries", name) == 1
    for _ in range(3):
        async with await here.get():
            pass
    assert seen(session, name) == (0, 3, 0)


async def test_a_lease_that_is_lost_counts_and_one_that_is_released_does_not(
    client: Redis, session: Session, name: str
) -> None:
    async with Lock(session, name):
        pass
    assert counted(session, "lease_lost", "p") == counted(session, "lease_lost", "w") == 0
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(15), Lock(session, name):
            await client.delete(*lease_keys(name).values())
            renew_now(session)
            await asyncio.Event().wait()
    assert counted(session, "lease_lost", "p") + counted(session, "lease_lost", "w") == 1


async def test_a_lease_that_ends_with_its_session_is_not_lost(url: str, name: str) -> None:
    async with Session.open(url) as session:
        await ReadersWritersLease(session, name).write().acquire()
    assert counted(session, "lease_lost", "w") == 0


async def test_connections_count(through_proxy: Session, proxy: Proxy, name: str) -> None:
    queue = Queue(through_proxy, name, int)
    await queue.put(1)
    assert counted(through_proxy, "connections") == 1
    proxy.cut()
    await queue.put(2)
    assert counted(through_proxy, "connections") == 2


async def test_waits_are_measured_once_somebody_wants_to_know(session: Session, other: Session, name: str) -> None:
    queue, catalog = Queue(session, name, int, maxsize=1), ReadersWritersLease(session, name)
    tally = process_of(session).calls.tally
    await queue.put(1)
    assert not measured(session)
    tally.measure()
    waiting = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    began = asyncio.get_running_loop().time()
    async with await Queue(other, name, int).get(), ReadersWritersLease(other, name).write():
        await waiting
        reading = asyncio.create_task(catalog.read().acquire())
        await until(ReadersWritersLease(other, name).statistics, lambda found: len(found.waiters) == 1)
    await (await reading).release()
    assert {about: sum(waits.counts) for about, waits in measured(session).items()} == {name: 1, "r": 1}
    assert 0 < measured(session)["r"].seconds <= asyncio.get_running_loop().time() - began


def test_reasons_that_are_all_different_do_not_fill_the_memory() -> None:
    tally = Tally()
    for number in range(20_000):
        tally.add_dead("jobs", f"no user {number}")
    assert len(tally.counts) <= 10_001
    assert sum(tally.counts.values()) == 20_000
    assert tally.counts["dead_letters", "jobs others"] == 10_000
    tally.add_dead("jobs", "no user 1")
    assert tally.counts["dead_letters", "jobs no user 1"] == 2
