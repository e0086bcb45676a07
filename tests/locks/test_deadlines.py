"""What a hold does at and behind its deadline, and when its machine slept."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Condition,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Session,
)
from shared.concurrency.locks.leases import hold as hold_module
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.session.clock import boottime
from tests.instruments import inside
from tests.instruments.waiting import until


async def test_nobody_joins_after_the_local_deadline(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    lease = await catalog.read().acquire()
    inside.hold_of(lease).deadline = boottime() - 0.001  # and its watcher has not looked yet
    assert inside.joined(catalog) is None


async def test_leaving_a_shared_hold_too_late_raises(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read() as outer:
        with pytest.raises(LeaseLost):
            async with catalog.read():
                inside.hold_of(outer).deadline = boottime() - 0.001
        inside.hold_of(outer).deadline = boottime() + 5


async def test_a_loss_is_told_to_a_task_that_was_cancelled_before(session: Session, name: str) -> None:
    entered = asyncio.Event()
    seen: list[BaseException] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                async with Lock(session, name) as lease:  # cleaning up under a lock
                    entered.set()
                    inside.hold_of(lease).lose("deadline")
                    await asyncio.sleep(5)
            except BaseException as error:  # noqa: BLE001  # whatever it is
                seen.append(error)
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert [type(error) for error in seen] == [LeaseLost]


async def test_a_clock_that_jumped_is_noticed_soon(
    session: Session, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(100), Lock(session, name, ttl=60.0):
            monkeypatch.setattr(hold_module, "boottime", lambda: boottime() + 3600)  # the machine slept
            await asyncio.Event().wait()


async def test_a_renewal_that_says_closed_keeps_readers_out(url: str, session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with Session.open(url) as other, catalog.read() as lease:
        writing = asyncio.create_task(ReadersWritersLease(other, name).write().acquire())
        await until(catalog.statistics, lambda seen: len(seen.waiters) == 1)
        before = inside.hold_of(lease).deadline
        inside.renew_now(session)

        async def deadline() -> float:
            return inside.hold_of(lease).deadline

        await until(deadline, lambda seen: seen > before)
        assert inside.joined(catalog) is None
        writing.cancel()
        await asyncio.wait({writing})


async def test_old_news_lets_no_reader_in(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read():
        # The last answer that said that nobody waits is old.
        inside.lease_participant_of(session, name).asking.open_until = 1.0
        assert inside.joined(catalog) is None


async def test_an_acquire_that_was_withdrawn_is_refused_when_it_comes_late(
    session: Session, client: Redis, name: str
) -> None:
    participant = inside.lease_participant_of(session, name)
    withdrawn = Hold(inside.new_id_of(session), "p", 10.0, lambda *_: None)
    withdrawn.asked_on = "a connection that was dropped"
    participant.releasing.release_soon(withdrawn)
    await until(lambda: client.zscore(f"{{{name}}}:lease:withdrawn", withdrawn.id), lambda score: score is not None)
    keys = lease_keys(name)
    assert await inside.ask(session, "acquire", keys, withdrawn.id, "p", "lock", "a run", "", 1, "") == [b"withdrawn"]
    assert (await Lock(session, name).statistics()).holders == ()


async def test_a_lost_notification_is_made_up_for(session: Session, client: Redis, name: str) -> None:
    condition = Condition(session, name, ttl=0.5)
    true = False
    looks: list[bool] = []

    async def wait() -> str:
        async with condition:
            return await condition.wait_for(look)

    def look() -> str:
        looks.append(true)
        return "here" if true else ""

    waiting = asyncio.create_task(wait())
    key = f"{{{name}}}:condition:waiters"
    await until(lambda: client.zcard(key), lambda count: count == 1)
    true = True  # and nobody says so
    async with asyncio.timeout(5):
        assert await waiting == "here"
    assert looks == [False, True]  # at its next look, half a second later
    assert await client.exists(key) == 0


async def test_a_lease_that_rests_after_a_restart_is_open_again_though_the_clock_was_set_back(
    session: Session, name: str, client: Redis
) -> None:
    lock = Lock(session, name, ttl=0.5)
    async with lock:
        pass
    seconds, _ = await client.time()
    # The server came back with its clock an hour ahead, and was set right.
    quiet_until = (seconds + 3600) * 1000
    await client.execute_command("HSET", f"{{{name}}}:lease", "quiet_until", quiet_until)  # type: ignore[no-untyped-call]
    async with asyncio.timeout(5), lock:
        pass
