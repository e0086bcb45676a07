"""Whoever has waited for a minute looks every 5 s; what is due sooner, and what is notified, does not wait for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import pytest

from shared.concurrency import Barrier, Condition, Event, Lock, Queue, Session
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.queues.membership.keys import leased_key
from shared.concurrency.session import insurance
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

WELL_BEFORE: Final = 4.0
"""Seconds: whoever waits at rest has not looked by itself yet."""

WORDS: Final = ("settle_and_take", "onward", "acquire", "event_look", "condition_wait", "barrier_wait")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute that takes 0.3 s, with a look every 0.05 s; the 5 s after it stay what they are."""
    monkeypatch.setattr(insurance, "AT_FIRST", 0.05)
    monkeypatch.setattr(insurance, "RESTS_AFTER", 0.3)


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody rests from the first wait on."""
    monkeypatch.setattr(insurance, "RESTS_AFTER", 0.0)


@contextlib.asynccontextmanager
async def waiting(*waits: Coroutine[Any, Any, Any]) -> AsyncIterator[list["asyncio.Task[Any]"]]:
    """All of these at once, until the end of the block."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def idle(queue: Queue[int]) -> AsyncIterator["asyncio.Task[Any]"]:
    """A get that waits, and that the server knows to wait."""
    async with waiting(queue.get()) as (getting,):
        await until(lambda: asyncio.sleep(0, inside.is_idle(inside.session_of(queue), queue.name)), bool)
        yield getting


async def notified(session: Session, name: str) -> None:
    condition = Condition(session, f"{name}-condition")
    async with condition:
        await condition.wait()


@pytest.mark.usefixtures("quick")
async def test_who_has_waited_for_long_looks_seldom(proxy: Proxy, session: Session, name: str) -> None:
    """At the server's end: how many calls come of each that waits, at first and at rest."""
    full = Queue(session, f"{name}-full", int, maxsize=1)
    await full.put(0)
    async with Session.open(proxy.url) as ours, Lock(session, f"{name}-lock"):

        def counts() -> list[int]:
            return [proxy.count(word) for word in WORDS]

        async def looks() -> int:
            return min(counts())

        async with waiting(
            Queue(ours, name, int).get(),
            Queue(ours, full.name, int).put(1),
            Lock(ours, f"{name}-lock").acquire(),
            Event(ours, name).wait(),
            notified(ours, name),
            Barrier(ours, name, 2).wait(),
        ):
            await until(looks, lambda least: least >= 3)
            # Whoever looks from here on has waited for longer than this minute.
            await asyncio.sleep(0.4)
            before = counts()
            await asyncio.sleep(0.5)
            after = counts()
    assert all(later - sooner <= 1 for sooner, later in zip(before, after, strict=True)), (WORDS, before, after)


@pytest.mark.usefixtures("rested")
async def test_a_put_wakes_who_rests(session: Session, other: Session, name: str) -> None:
    async with idle(Queue(session, name, int)) as getting, asyncio.timeout(WELL_BEFORE):
        await Queue(other, name, int).put(1)
        async with await getting as item:
            assert item == 1


@pytest.mark.usefixtures("rested")
async def test_room_wakes_a_put_that_rests(session: Session, other: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    async with waiting(queue.put(2)) as (putting,):
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        async with asyncio.timeout(WELL_BEFORE):
            async with await Queue(other, name, int).get():
                await putting


@pytest.mark.usefixtures("rested")
async def test_a_delayed_message_is_looked_for_when_it_is_due(session: Session, other: Session, name: str) -> None:
    """It was delayed after the last look of who rests, and is due before the next one."""
    theirs = Queue(other, name, int)
    await theirs.put(1)
    delivery = await theirs.get()
    async with idle(Queue(session, name, int)) as getting, asyncio.timeout(WELL_BEFORE):
        await delivery.nack(delay=1.2)
        delivery = await getting
        assert delivery.attempt == 2
        await delivery.ack()


@pytest.mark.usefixtures("rested")
async def test_a_session_that_ends_sooner_is_recovered_when_it_is_due(
    session: Session, other: Session, client: Any, name: str
) -> None:
    """It has registered after the last look of who rests, and is over before the next one."""
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await theirs.put(7)
    await inside.take_unheard(theirs)
    dying = "dyingdyingdy.1.400"
    async with idle(queue) as getting, asyncio.timeout(WELL_BEFORE):
        await inside.ask_at(theirs, "register", dying, 1, *[""] * 6, 86_400_000, 0, 0, "", 0)
        await client.rename(leased_key(name, inside.session_id_at(theirs)), leased_key(name, dying))
        async with await getting as item:
            assert item == 7


async def test_a_session_that_lasts_wakes_nobody(proxy: Proxy, url: str, name: str) -> None:
    async with Session.open(proxy.url) as session, idle(Queue(session, name, int)):
        pushes = proxy.pushes
        async with Session.open(url) as other:
            await Queue(other, name, int).statistics()
        assert proxy.pushes == pushes


async def acquired(session: Session, name: str, ttl: float) -> list[Any]:
    keys, id_ = lease_keys(name), inside.new_id_of(session, ttl)
    answer: list[Any] = await inside.ask(session, "acquire", keys, id_, "p", "lock", "", "", 1, "1 here task")
    return answer


async def test_a_look_that_keeps_a_place_is_never_later_than_a_third_of_its_time(
    session: Session, other: Session, name: str
) -> None:
    async with Lock(other, name, ttl=60.0):
        assert [int((await acquired(session, name, ttl))[2]) for ttl in (1.5, 9.0, 60.0)] == [500, 3000, 5000]


@pytest.mark.parametrize("waited, seconds", [(0, 1), (59.9, 1), (60, 5), (1e6, 5)])
def test_a_minute(waited: float, seconds: float) -> None:
    assert insurance.next_look(waited) == seconds
