"""A name that nobody uses costs nothing: in the process at once, at the server after a while."""

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared.concurrency import Condition, LeaseLost, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.keys import lease_keys
from tests.instruments import inside
from tests.instruments.waiting import until

MANY = 1000


@pytest.fixture
def no_collection() -> Iterator[None]:
    """What goes at once goes without the collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def lock_once(session: Session, name: str) -> None:
    async with Lock(session, name):
        pass


async def read_once(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read(), catalog.read():
        pass
    async with catalog.write() as lease:
        await lease.downgrade()


async def cancel(session: Session, name: str) -> None:
    lease = await Lock(session, name).acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), Lock(session, name):
            pass
    await lease.release()


async def lose(session: Session, name: str) -> None:
    with pytest.raises(LeaseLost):
        async with Semaphore(session, name, 2, ttl=0.2, max_hold=0.1):
            await asyncio.Event().wait()


async def wait_for_nothing(session: Session, name: str) -> None:
    async with Condition(session, name) as _:
        pass


async def stop_waiting(session: Session, name: str) -> None:
    with pytest.raises(TimeoutError):
        condition = Condition(session, name)
        async with condition, asyncio.timeout(0.01):
            await condition.wait()


async def be_cancelled_twice(session: Session, name: str) -> None:
    condition = Condition(session, name)
    await condition.acquire()
    wait = asyncio.create_task(condition.wait())
    held = await condition.acquire()  # it waits now
    for _ in range(2):
        wait.cancel()
        await asyncio.sleep(0)  # and asks for the lock again
    await held.release()
    await asyncio.wait({wait})
    assert wait.cancelled()
    await condition.release()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    "use", [lock_once, read_once, cancel, lose, wait_for_nothing, stop_waiting, be_cancelled_twice]
)
async def test_names_that_are_used_once_leave_the_process_at_once(session: Session, name: str, use: object) -> None:
    assert callable(use)
    for first in range(0, 100, 20):
        await asyncio.gather(*(use(session, f"{name}-{number}") for number in range(first, first + 20)))

    async def left() -> tuple[int, int]:
        return inside.parts_of(session), inside.renewed_in(session)

    # What nobody waits for any more is withdrawn in the background.
    await until(left, lambda seen: seen == (0, 0), seconds=9)


async def test_a_lock_that_is_kept_at_rest_is_not_looked_at(session: Session, name: str) -> None:
    locks = [Lock(session, f"{name}-{number}") for number in range(MANY)]
    assert inside.renewed_in(session) == 0
    async with locks[0]:
        assert inside.renewed_in(session) == 1
    assert inside.renewed_in(session) == 0
    assert inside.parts_of(session) == MANY


async def test_who_keeps_only_the_lease_holds_on(url: str, session: Session, name: str) -> None:
    """The object that it came from is gone: it is renewed, known in the process, and given back at the end."""
    async with Session.open(url) as ending:
        lease = await Lock(ending, name).acquire()
        gc.collect()
        before = inside.hold_of(lease).deadline

        async def deadline() -> float:
            return inside.hold_of(lease).deadline

        inside.renew_now(ending)
        await until(deadline, lambda now: now > before)
        await Lock(session, name).statistics()
        assert await Lock(ending, name).locked()
    with pytest.raises(LeaseLost):
        lease.check()
    assert not (await Lock(session, name).statistics()).holders


async def test_who_drops_even_the_lease_holds_until_the_session_ends(url: str, session: Session, name: str) -> None:
    async with Session.open(url) as ending:
        await Lock(ending, name).acquire()
        gc.collect()
        assert inside.renewed_in(ending) == 1
        assert await Lock(session, name).locked()
    assert not await Lock(session, name).locked()


async def test_a_release_goes_on_though_its_lock_is_gone(url: str, session: Session, name: str) -> None:
    """The session waits for it at its end."""
    held = await Lock(session, name).acquire()
    async with Session.open(url) as ending:

        async def wait() -> None:
            await Lock(ending, name).acquire()

        waiting = asyncio.create_task(wait())
        await until(Lock(session, name).statistics, lambda seen: len(seen.waiters) == 1)
        waiting.cancel()
        await asyncio.wait({waiting})
        del waiting
        gc.collect()  # a task that was cancelled keeps what it was doing, and that its task
        assert inside.parts_of(ending) == 0
    assert not (await Lock(session, name).statistics()).waiters
    await held.release()


@pytest.mark.measured
@pytest.mark.timing
async def test_holds_by_hand_cost_the_same_however_many_there_are(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 5000)

    async def cost(count: int) -> float:
        """Seconds of this process for each of so many more."""
        began = time.process_time()
        for _ in range(0, count, 50):
            await asyncio.gather(*(permits.acquire() for _ in range(50)))
        return (time.process_time() - began) / count

    first = await cost(500)
    await cost(3000)
    # The least of three: a machine that is busy has more timers run out meanwhile.
    assert min([await cost(500) for _ in range(3)]) < 2 * first


async def test_bodies_of_many_tasks_cost_the_same_however_many_there_are(session: Session, name: str) -> None:
    """Who asks is compared with its own bodies, and not with those of all tasks."""
    permits = Semaphore(session, name, MANY)
    may_leave = asyncio.Event()

    async def stay() -> None:
        async with permits:
            await may_leave.wait()

    staying = [asyncio.create_task(stay()) for _ in range(MANY - 1)]
    await until(permits.statistics, lambda seen: len(seen.holders) == MANY - 1)
    participant = inside.lease_participant_of(session, name)
    assert [len(participant.relied_on_by(task)) for task in staying] == [1] * len(staying)
    async with permits:
        task = asyncio.current_task()
        assert task is not None
        assert len(participant.relied_on_by(task)) == 1
    assert not participant.relied_on_by(task)
    may_leave.set()
    await asyncio.gather(*staying)
    assert not participant.inside


# --- at the server ----------------------------------------------------------------------------------------------------

HOUR = 3_600_000


@pytest.mark.parametrize("ttl,rest", [(10.0, HOUR), (0.3, HOUR), (1000.0, 10_000_000)])
async def test_the_server_forgets_a_name_after_ten_times_to_live_or_an_hour(
    session: Session, client: Any, name: str, ttl: float, rest: int
) -> None:
    keys = lease_keys(name)
    async with Lock(session, name, ttl=ttl):
        # And one whose process has died while it held, and nobody asks for it.
        assert rest - 60_000 < await client.pttl(keys["holders"]) <= rest
    assert rest - 60_000 < await client.pttl(keys["record"]) <= rest
    assert await client.exists(*keys.values()) == 1


async def test_a_name_that_is_used_just_before_it_is_forgotten_is_kept(
    session: Session, client: Any, name: str
) -> None:
    record = lease_keys(name)["record"]
    async with Lock(session, name) as first:
        pass
    # As when it has rested nearly for as long as it is kept.
    await client.hset(record, "token", first.token - HOUR * 1000)
    await client.pexpire(record, 5000)
    async with Lock(session, name) as lease:
        assert lease.token > first.token - HOUR * 1000
        assert await client.pttl(record) > HOUR - 60_000


async def test_a_token_goes_back_where_the_name_is_forgotten_and_then_the_clock_set_back_by_more_than_its_rest(
    session: Session, client: Any, name: str
) -> None:
    """While the name is kept it does not, however far the clock goes back."""
    record = lease_keys(name)["record"]
    seconds, _ = await client.time()
    ahead = (seconds + 2 * 3600) * 1_000_000  # granted before the clock was set back by two hours
    async with Lock(session, name):
        await client.hset(record, "token", ahead)
    async with Lock(session, name) as kept:
        assert kept.token == ahead + 1
    await client.delete(record)  # as it is an hour later
    async with Lock(session, name) as lease:
        assert lease.token < ahead


async def test_bodies_that_one_task_leaves_in_another_order_than_it_entered(session: Session, name: str) -> None:
    permits = [Semaphore(session, name, 3) for _ in range(3)]
    participant, task = inside.lease_participant_of(session, name), asyncio.current_task()
    assert task is not None
    inside_of = {permit: await permit.__aenter__() for permit in permits}
    for permit in (permits[1], permits[2], permits[0]):
        await permit.__aexit__(None, None, None)
        del inside_of[permit]
        found = {body.hold.token for body in participant.relied_on_by(task)}
        assert found == {lease.token for lease in inside_of.values()}
    assert not participant.inside
