"""A lease at once or not at all: `acquire_nowait` and `within`."""

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

import pytest

from shared.concurrency import (
    ConcurrencyError,
    Condition,
    LeaseBusy,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)  # fmt: skip
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.lease_waiters import forget, waiters
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate

MAKERS: Final[dict[str, Callable[[Session, str], Any]]] = {
    "lock": Lock,
    "semaphore": lambda session, name: Semaphore(session, name, 1),
    "condition": Condition,
    "read": lambda session, name: ReadersWritersLease(session, name).read(),
    "write": lambda session, name: ReadersWritersLease(session, name).write(),
}
every_kind = pytest.mark.parametrize("kind", MAKERS)


def blocked(kind: str, session: Session, name: str) -> Any:
    """What keeps this kind out."""
    return MAKERS["write" if kind == "read" else kind](session, name)


async def nothing_left(session: Session, name: str) -> None:
    now = await ReadersWritersLease(session, name).statistics()
    assert (now.holders, now.waiters) == ((), ())


@every_kind
async def test_what_is_free_is_had_in_one_round_trip(
    through_proxy: Session, proxy: Proxy, name: str, kind: str
) -> None:
    there = MAKERS[kind](through_proxy, name)
    async with Lock(through_proxy, f"{name}-first"):
        pass  # the server knows the scripts from here on
    before = proxy.count("acquire")
    lease = await there.acquire_nowait()
    assert proxy.count("acquire") == before + 1
    lease.check()
    await there.release()
    await nothing_left(through_proxy, name)


@every_kind
async def test_what_is_held_is_busy_and_leaves_no_waiter(
    session: Session, other: Session, name: str, kind: str
) -> None:
    there = MAKERS[kind](other, name)
    async with blocked(kind, session, name):
        with pytest.raises(LeaseBusy, match=f"{name} is held") as refused:
            await there.acquire_nowait()
        assert isinstance(refused.value, ConcurrencyError)
        assert not isinstance(refused.value, TimeoutError)
        assert (await ReadersWritersLease(session, name).statistics()).waiters == ()
    await (await there.acquire_nowait()).release()


@every_kind
async def test_nobody_who_waits_is_overtaken(session: Session, other: Session, url: str, name: str, kind: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with Session.open(url) as third:
        before = blocked(kind, session, name)
        lease = await before.acquire()
        waiting = asyncio.create_task(blocked(kind, other, name).acquire())
        await waiters(catalog, 1)
        release = asyncio.create_task(lease.release())
        refused = 0
        for _ in range(5):  # before, while and after it is handed over
            with pytest.raises(LeaseBusy):
                await MAKERS[kind](third, name).acquire_nowait()
            refused += 1
        await release
        later = await waiting
        assert refused == 5
        await later.release()


async def test_a_reader_does_not_pass_a_writer_that_waits(
    session: Session, other: Session, url: str, name: str
) -> None:
    catalog = ReadersWritersLease(session, name)
    async with Session.open(url) as third, catalog.read():
        writing = asyncio.create_task(ReadersWritersLease(other, name).write().acquire())
        await waiters(catalog, 1)
        for of in (session, third):
            outside = asyncio.create_task(nowait_read(of, name), context=Context())
            with pytest.raises(LeaseBusy):
                await outside
        # Its own task reads on: it would wait for itself.
        again = await catalog.read().acquire_nowait()
        await again.release()
    await (await writing).release()


async def nowait_read(session: Session, name: str) -> None:
    await ReadersWritersLease(session, name).read().acquire_nowait()


async def test_a_reader_beside_others_costs_no_round_trip(through_proxy: Session, proxy: Proxy, name: str) -> None:
    catalog = ReadersWritersLease(through_proxy, name)
    first = await catalog.read().acquire_nowait()
    asked = proxy.count("acquire")
    second = await catalog.read().acquire_nowait()
    assert (proxy.count("acquire"), second.token) == (asked, first.token)
    await first.release()
    second.check()
    await second.release()
    await nothing_left(through_proxy, name)


async def test_it_is_busy_for_the_task_that_holds_it_too(session: Session, name: str) -> None:
    lock, catalog = Lock(session, name), ReadersWritersLease(session, f"{name}-2")
    async with lock, catalog.write():
        for there in (lock, catalog.write(), catalog.read()):
            with pytest.raises(LeaseBusy):
                await there.acquire_nowait()
    async with catalog.read():
        with pytest.raises(LeaseBusy):
            await catalog.write().acquire_nowait()


async def test_a_writer_that_is_refused_keeps_no_reader_out(session: Session, other: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read() as lease:
        for _ in range(3):
            with pytest.raises(LeaseBusy):
                await ReadersWritersLease(other, name).write().acquire_nowait()
        beside = await ReadersWritersLease(other, name).read().acquire_nowait()
        assert inside.joined(catalog) is inside.hold_of(lease)
        await beside.release()


async def test_the_readers_that_a_dead_writer_kept_out_come_before_the_writer_that_will_not_wait(
    session: Session, other: Session, client: Any, name: str
) -> None:
    catalog, keys = ReadersWritersLease(session, name), inside.lease_participant_of(session, name).keys
    lease = await catalog.read().acquire()
    dead, run_id = inside.new_id_of(session), (await client.info("server"))["run_id"]
    assert (await inside.ask(session, "acquire", keys, dead, "w", "fair", run_id, "", 1, ""))[0] == b"waits"
    reading = asyncio.create_task(ReadersWritersLease(other, name).read().acquire())
    await waiters(catalog, 2)
    # Its reader leaves, and nobody has noticed yet that the writer is dead.
    await client.zrem(keys["holders"], inside.hold_of(lease).id)
    await client.zadd(keys["waiting"], {dead: 1})
    with pytest.raises(LeaseBusy):
        await catalog.write().acquire_nowait()
    await (await reading).release()
    with pytest.raises(LeaseLost):
        await lease.release()


async def test_another_kind_is_refused_as_ever(session: Session, other: Session, name: str) -> None:
    async with Lock(session, name):
        with pytest.raises(ValueError, match="in use as"):
            await ReadersWritersLease(other, name).read().acquire_nowait()


async def test_a_lost_answer_is_asked_for_again_under_the_same_id(
    through_proxy: Session, proxy: Proxy, other: Session, name: str
) -> None:
    for fate in (Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN):
        met = proxy.drop_nth(1, fate, lambda command: command.name == "acquire")
        lease = await Lock(through_proxy, name).acquire_nowait()
        assert met.is_set()
        assert [holder.token for holder in (await Lock(other, name).statistics()).holders] == [lease.token]
        await lease.release()


async def test_a_cancelled_one_leaves_no_trace(through_proxy: Session, proxy: Proxy, other: Session, name: str) -> None:
    async with proxy.holding("acquire") as hold:
        asking = asyncio.create_task(Lock(through_proxy, name).acquire_nowait())
        await hold.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    async with asyncio.timeout(5), Lock(other, name):
        pass


@every_kind
async def test_within_waits_so_long_and_no_longer(session: Session, other: Session, name: str, kind: str) -> None:
    there = MAKERS[kind](other, name)
    async with blocked(kind, session, name):
        for seconds in (0, 0.05):
            with pytest.raises(LeaseBusy):
                async with there.within(seconds):
                    raise AssertionError("it is held")
    async with there.within(0) as lease:
        lease.check()
    before = await blocked(kind, session, name).acquire()
    waiting = asyncio.create_task(enter_within(there, 30))
    await waiters(ReadersWritersLease(session, name), 1)
    await before.release()
    await waiting
    await nothing_left(session, name)


async def enter_within(there: Any, seconds: float) -> None:
    async with there.within(seconds) as lease:
        lease.check()


async def test_the_body_of_within_has_no_limit_and_keeps_its_own_timeout(session: Session, name: str) -> None:
    for limit in (0.05, 0.5, 5):  # a busy machine may not grant it in time
        with contextlib.suppress(LeaseBusy):
            async with Lock(session, name).within(limit) as lease:
                await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=2 * limit)
                lease.check()
            break
    else:
        raise AssertionError("it was never granted")
    with pytest.raises(TimeoutError):
        async with Lock(session, name).within(5):
            raise TimeoutError("its own")
    await nothing_left(session, name)


async def test_a_lost_lease_of_within_cancels_its_body(session: Session, client: Any, name: str) -> None:
    with pytest.raises(LeaseLost):
        async with Lock(session, name).within(5):
            await forget(client, session, name)
            await asyncio.Event().wait()


async def test_an_outage_counts_as_waiting(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session:
        server.kill()
        try:
            with pytest.raises(LeaseBusy):
                async with Lock(session, name).within(0.1):
                    raise AssertionError("no server")
        finally:
            server.start()
        async with Lock(session, name):
            pass


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, None, "2"])
async def test_what_is_no_time_is_refused(session: Session, name: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match="within is"):
        Lock(session, name).within(seconds)


async def test_a_closed_session_is_refused(url: str, name: str) -> None:
    async with Session.open(url) as closed:
        lock = Lock(closed, name)
    with pytest.raises(ConcurrencyError, match="the session is closed"):
        await lock.acquire_nowait()


async def test_a_timeout_of_nothing_never_takes_a_lock_as_the_page_says(session: Session, name: str) -> None:
    lock = Lock(session, name)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await lock.acquire()
    async with lock.within(10):  # what the questions were granted is on its way back
        pass
