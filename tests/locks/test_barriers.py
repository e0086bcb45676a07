"""Barriers across processes: the dead do not count, an answer may be lost, a cancelled wait leaves no trace."""

import asyncio
import contextlib
from typing import Any

import pytest

from shared.concurrency import Barrier, ConcurrencyError, Session
from shared.concurrency.locks.leases.keys import BARRIER_KEYS, barrier_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside, lease_processes
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def waiting(barrier: Barrier, count: int) -> None:
    await until(barrier.n_waiting, lambda seen: seen == count)


async def nothing_left(client: Any, name: str) -> None:
    """Until only the barrier itself is stored, and nothing of those who were there."""
    keys = barrier_keys(name)
    kept = keys.pop("barrier")
    await until(lambda: client.exists(*keys.values()), lambda count: count == 0)
    assert await client.ttl(kept) > 600_000


async def test_processes_meet(url: str, session: Session, client: Any, name: str) -> None:
    barrier = Barrier(session, name, 5)
    async with (
        running(lease_processes.meet, url, name, 30.0, 5, 2) as first,
        running(lease_processes.meet, url, name, 30.0, 5, 2) as second,
    ):
        await waiting(barrier, 4)
        own = await barrier.wait()
        for process in (first, second):
            await process.said("passed", 2)
        assert sorted([own, *first.reports("passed"), *second.reports("passed")]) == [0, 1, 2, 3, 4]
        await nothing_left(client, name)  # they end by themselves, and confirm before


async def test_who_was_killed_does_not_count(url: str, session: Session, other: Session, name: str) -> None:
    barrier = Barrier(session, name, 3)
    async with running(lease_processes.meet, url, name, 30.0, 3, 2) as process:
        await waiting(barrier, 2)
        await process.kill()
    tasks = [asyncio.create_task(Barrier(other, name, 3).wait()) for _ in range(2)]
    # The server would count the dead as waiting for half a minute.
    await waiting(barrier, 2)
    assert not any(task.done() for task in tasks)
    numbers = [await barrier.wait(), *await asyncio.gather(*tasks)]
    assert sorted(numbers) == [0, 1, 2]


async def test_who_is_stopped_counts_until_its_time_to_live_is_over(url: str, session: Session, name: str) -> None:
    barrier = Barrier(session, name, 2)
    async with running(lease_processes.meet, url, name, 0.5, 2, 1) as process:
        await waiting(barrier, 1)
        process.stop()
        await waiting(barrier, 0)
        ours = asyncio.create_task(barrier.wait())
        await waiting(barrier, 1)
        process.cont()  # it comes again, with a new place
        assert await ours == 0
        assert await process.said("passed") == 1


async def test_a_request_that_runs_behind_its_end_is_refused(session: Session, client: Any, name: str) -> None:
    keys, late = barrier_keys(name), inside.new_id_of(session)
    await inside.ask(session, "barrier_leave", keys, late, 1)
    assert await inside.ask(session, "barrier_wait", keys, late, 1, "") == [b"withdrawn"]
    assert await client.exists(keys["arrivals"]) == 0


async def test_who_leaves_leaves_a_gap_that_the_next_one_fills(session: Session, name: str) -> None:
    barrier = Barrier(session, name, 4)
    tasks = []
    for count in (1, 2, 3):
        tasks.append(asyncio.create_task(barrier.wait()))
        await waiting(barrier, count)
    for task in (tasks[0], tasks[1]):
        task.cancel()
    await waiting(barrier, 1)
    for count in (2, 3):
        tasks.append(asyncio.create_task(barrier.wait()))
        await waiting(barrier, count)
    assert await barrier.wait() == 3
    assert await asyncio.gather(*tasks[2:]) == [2, 0, 1]


async def test_who_has_not_fetched_its_number_yet_keeps_it_while_others_pass(
    session: Session, other: Session, name: str
) -> None:
    keys, waiter = barrier_keys(name), inside.new_id_of(session)
    assert await inside.ask(session, "barrier_wait", keys, waiter, 2, "") == [b"waits"]
    there = Barrier(other, name, 2)
    assert await there.wait() == 1
    for _ in range(2):
        assert sorted(await asyncio.gather(there.wait(), there.wait())) == [0, 1]
        assert await inside.ask(session, "barrier_wait", keys, waiter, 2, "") == [b"passed", 0]
    later = inside.new_id_of(session)
    assert await inside.ask(session, "barrier_wait", keys, later, 2, "") == [b"waits"]
    for _ in range(2):
        await there.reset()
        assert await inside.ask(session, "barrier_wait", keys, later, 2, "") == [b"broken"]
        early = asyncio.create_task(there.wait())
        await waiting(there, 1)
        early.cancel()
        await waiting(there, 0)
    for one in (waiter, later):
        await inside.ask(session, "barrier_leave", keys, one, 0)
    assert await inside.ask(session, "barrier_wait", keys, later, 3, "") == [b"waits"]


async def test_all_who_wait_name_the_same_number(session: Session, other: Session, name: str) -> None:
    task = asyncio.create_task(Barrier(session, name, 2).wait())
    await waiting(Barrier(session, name, 2), 1)
    with pytest.raises(ValueError, match="until there are 2, and here are 3 parties"):
        await Barrier(other, name, 3).wait()
    assert await Barrier(other, name, 2).wait() == 1
    await task
    more = [asyncio.create_task(Barrier(other, name, 3).wait()) for _ in range(3)]
    assert sorted(await asyncio.gather(*more)) == [0, 1, 2]


async def test_a_broken_connection_keeps_the_place(
    through_proxy: Session, proxy: Proxy, other: Session, name: str
) -> None:
    here, there = Barrier(through_proxy, name, 2), Barrier(other, name, 2)
    task = asyncio.create_task(here.wait())
    await waiting(there, 1)
    proxy.cut()
    assert await there.wait() == 1
    assert await task == 0


async def test_a_server_that_forgot_is_asked_again(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Session.open(server.url) as other:
        task = asyncio.create_task(Barrier(session, name, 2).wait())
        await waiting(Barrier(other, name, 2), 1)
        await asyncio.to_thread(server.kill)
        server.start()
        assert sorted([await Barrier(other, name, 2).wait(), await task]) == [0, 1]


async def test_a_deadline_too_far_away_is_cut(session: Session, client: Any, name: str) -> None:
    barrier, keys = Barrier(session, name, 3, ttl=1.0), barrier_keys(name)
    stranger = "aaaaaaaaaaaa.1.1000"
    await client.zadd(keys["arrivals"], {stranger: 1})
    await client.zadd(keys["deadlines"], {stranger: 9e15})
    task = asyncio.create_task(barrier.wait())
    await waiting(barrier, 2)
    await waiting(barrier, 1)
    task.cancel()
    await asyncio.wait({task})


async def test_what_nobody_fetched_is_forgotten_after_ten_minutes(session: Session, client: Any, name: str) -> None:
    barrier, keys = Barrier(session, name, 1), barrier_keys(name)
    await client.hset(keys["outcomes"], mapping={"old": "3 1000", "older": "broken 1000"})
    await barrier.wait()
    await until(lambda: client.hkeys(keys["outcomes"]), lambda seen: seen == [])


async def test_any_printable_name_will_do(session: Session, client: Any, name: str) -> None:
    assert await Barrier(session, f"{name}: all here?", 1).wait() == 0
    found = [key async for key in client.scan_iter(match="{~*}:barrier", count=1000)]
    names = [await client.hget(key, "name") for key in found]
    assert f"{name}: all here?".encode() in names
    await client.delete(*(key for key, stored in zip(found, names, strict=True) if name.encode() in (stored or b"")))


async def test_closing_the_session_ends_a_wait(url: str, other: Session, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(Session.open(url))
        task = asyncio.create_task(Barrier(session, name, 2).wait())
        await waiting(Barrier(other, name, 2), 1)
    with pytest.raises(ConcurrencyError, match="the session is closed"):
        await task
    ours = [asyncio.create_task(Barrier(other, name, 2).wait()) for _ in range(2)]
    assert sorted(await asyncio.gather(*ours)) == [0, 1]


async def test_closing_the_session_withdraws_its_waits(
    url: str, client: Any, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Half of those that it did not wait for were cut off, some before they were sent.
    for number in range(20):
        barrier = f"{name}-{number}"
        async with Session.open(url) as session:
            task = asyncio.create_task(Barrier(session, barrier, 2).wait())
            await waiting(Barrier(other, barrier, 2), 1)
        assert task.done()
        assert await client.exists(*(key for word, key in barrier_keys(barrier).items() if word != "barrier")) == 0
        with pytest.raises(ConcurrencyError, match="the session is closed"):
            await task
    assert "stays until it expires" not in caplog.text


@pytest.mark.parametrize("parties", [0, -1, 5001, True, 2.0, "3", None])
async def test_what_is_no_number_of_parties_is_refused(session: Session, name: str, parties: Any) -> None:
    with pytest.raises(ValueError, match="parties is a whole number"):
        Barrier(session, name, parties)


@pytest.mark.parametrize("key", [BARRIER_KEYS[word].suffix for word in BARRIER_KEYS])
async def test_a_key_of_another_type_is_named(client: Any, session: Session, name: str, key: str) -> None:
    await client.set(f"{{{name}}}:{key}", "somebody else's")
    with pytest.raises(ConcurrencyError, match=f"{key} holds a string"):
        await Barrier(session, name, 1).wait()
