"""A session that is closed ends every wait under it, gives back what it holds, and leaves nothing pending."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Barrier,
    ConcurrencyError,
    Condition,
    Event,
    Lease,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.session.session import process_of
from tests.instruments.cancellation import interrupted_at
from tests.instruments.proxy import Proxy
from tests.instruments.scenes import Scene, set_up
from tests.instruments.second_parties import CASES
from tests.instruments.topology import is_cluster_asked_for
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

Wait = Callable[[Session, str], Awaitable[object]]


async def under(session: Session, name: str) -> None:
    condition = Condition(session, name)
    async with condition:
        await condition.wait()


async def under_with_a_predicate(session: Session, name: str) -> None:
    condition = Condition(session, name)
    async with condition:
        await condition.wait_for(lambda: False)


WAITS: dict[str, tuple[Wait, str]] = {
    "lock": (lambda session, name: Lock(session, name).acquire(), "lease:waiting"),
    "semaphore": (lambda session, name: Semaphore(session, name, 1).acquire(), "lease:waiting"),
    "read": (lambda session, name: ReadersWritersLease(session, name).read().acquire(), "lease:waiting"),
    "write": (lambda session, name: ReadersWritersLease(session, name).write().acquire(), "lease:waiting"),
    "event": (lambda session, name: Event(session, name).wait(), "event:watchers"),
    "barrier": (lambda session, name: Barrier(session, name, 5).wait(), "barrier:deadlines"),
    "condition": (under, "condition:waiters"),
    "predicate": (under_with_a_predicate, "condition:waiters"),
}


async def scripts_forgotten(scene: Scene) -> None:
    """What the server does not know is sent twice."""
    await scene.client.script_flush()


INTERRUPTED = CASES | {
    f"{case} when scripts are forgotten": dataclasses.replace(CASES[case], before=scripts_forgotten)
    for case in ("semaphore by hand", "read by hand")
}


@contextlib.asynccontextmanager
async def nothing_pending() -> AsyncIterator[None]:
    """What the block starts has ended with it, or ends within a turn or two of the loop."""
    before = asyncio.all_tasks()
    yield
    for _ in range(3):
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if task.get_name().startswith("weir")]
    assert not left, left


@pytest.mark.parametrize("what", WAITS)
async def test_closing_a_session_ends_every_wait_under_it(
    url: str, session: Session, client: Redis, name: str, what: str
) -> None:
    wait, key = WAITS[what]
    holder = await held(session, name, what)
    async with nothing_pending(), Session.open(url) as ending:
        waiting = [asyncio.ensure_future(wait(ending, name)) for _ in range(3)]
        at_least = 1 if what in {"read", "event"} else 3
        await until(lambda: client.zcard(f"{{{name}}}:{key}"), lambda count: count == at_least)
    done, _ = await asyncio.wait(waiting, timeout=0.5)
    assert len(done) == 3
    for each in waiting:
        with pytest.raises(ConcurrencyError, match="closed"):
            each.result()
    for left in ("lease:waiting", "condition:waiters", "condition:alive"):
        assert await client.zcard(f"{{{name}}}:{left}") == 0
    if holder is not None:
        await holder.release()


@pytest.mark.parametrize("case", INTERRUPTED)
async def test_closing_a_session_at_any_await_of_a_call_ends_it_and_leaves_no_trace(
    case: str, url: str, other: Session, client: Redis, name: str
) -> None:
    chosen = INTERRUPTED[case]

    async def attempt(point: int) -> bool:
        stack = contextlib.AsyncExitStack()
        session = await stack.enter_async_context(Session.open(url))
        async with set_up(session, other, client, f"{name}-{point}") as scene:
            scene.may_fail = True
            if chosen.before is not None:
                await chosen.before(scene)
            beside = None if chosen.meanwhile is None else scene.start(chosen.meanwhile(scene))
            outcome = await interrupted_at(point, stack.aclose, chosen.call(scene), seconds=2.0)
            assert not outcome.cancelled, point
            assert outcome.error is None or isinstance(outcome.error, ConcurrencyError), (point, outcome)
            scene.over.set()
            if beside is not None:
                await asyncio.wait({beside})
            try:
                await second_party_gets_it(scene)
            except AssertionError as error:
                raise AssertionError(
                    f"closed at point {point}: {error}, {outcome}, {scene.notified=} {scene.used=}"
                ) from error
        await stack.aclose()
        return outcome.hit

    async def second_party_gets_it(scene: Scene) -> None:
        if case in {"event", "set", "set and clear"}:
            return  # whoever looks needs the session
        await chosen.afterwards(scene)
        await scene.nothing_left()

    if is_cluster_asked_for():  # the second party has its connection to each node before, and keeps it
        for point in range(1, 40):
            await ReadersWritersLease(other, f"{name}-{point}").statistics()
    async with nothing_pending():
        point = 1
        while await attempt(point):
            point += 1
        assert point > 1


async def test_a_question_that_is_on_its_way_when_the_session_is_closed_is_withdrawn(
    proxy: Proxy, session: Session, name: str
) -> None:
    async with Session.open(proxy.url) as ending:
        await Lock(ending, name).locked()
        async with proxy.holding("acquire") as hold:
            asking = asyncio.create_task(Lock(ending, name).acquire())
            await hold.arrived.wait()
            closing = asyncio.create_task(ended(ending))
            await asyncio.sleep(0)
        await closing
    with pytest.raises(ConcurrencyError):
        await asking
    async with asyncio.timeout(5), Lock(session, name):
        pass


@pytest.mark.measured
@pytest.mark.timing
async def test_a_question_that_is_answered_behind_the_close_does_not_hold_it_up(
    proxy: Proxy, session: Session, client: Redis, name: str
) -> None:
    held = await Lock(session, name).acquire()
    async with Session.open(proxy.url, ttl=2.0) as ending:
        await Lock(ending, name).locked()
        async with proxy.holding("acquire") as hold:
            asking = asyncio.create_task(Lock(ending, name, ttl=30.0).acquire())
            await hold.arrived.wait()
            closing = asyncio.create_task(ended(ending))
            await asyncio.sleep(0)
        answered_at = time.monotonic()
        await closing
    with pytest.raises(ConcurrencyError):
        await asking
    assert time.monotonic() - answered_at < 0.6  # it looks every second
    assert await client.zcard(f"{{{name}}}:lease:waiting") == 0
    await held.release()


@pytest.mark.parametrize("waits", ["already", "not yet"])
@pytest.mark.parametrize("what", WAITS)
async def test_closing_while_the_server_is_out_of_reach_ends_every_wait(
    proxy: Proxy, session: Session, client: Redis, name: str, *, what: str, waits: str
) -> None:
    wait, key = WAITS[what]
    async with contextlib.AsyncExitStack() as stack:
        holder = await held(session, name, what)
        await stack.enter_async_context(nothing_pending())
        ending = await stack.enter_async_context(Session.open(proxy.url, ttl=0.5))
        if waits == "not yet":
            stack.enter_context(proxy.refusing())
        waiting = asyncio.ensure_future(wait(ending, name))
        if waits == "already":
            await until(lambda: client.zcard(f"{{{name}}}:{key}"), lambda count: count == 1)
            stack.enter_context(proxy.refusing())
        else:
            await asyncio.sleep(0)
        async with asyncio.timeout(40):
            await ended(ending)
            with pytest.raises(ConcurrencyError, match="closed"):
                await waiting
    if holder is not None:
        await holder.release()


async def held(session: Session, name: str, what: str) -> Lease | None:
    """What is waited for is held by another session; None for an event, a barrier and a condition."""
    if what == "lock":
        return await Lock(session, name).acquire()
    if what == "semaphore":
        return await Semaphore(session, name, 1).acquire()
    if what in {"read", "write"}:
        return await ReadersWritersLease(session, name).write().acquire()
    return None


async def ended(session: Session) -> None:
    await process_of(session).close()


async def test_leaving_the_session_before_a_lease_says_what_it_is(url: str, session: Session, name: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with Session.open(url) as ending:
        lease = await stack.enter_async_context(Lock(ending, name))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(LeaseLost, match="session was closed"):
        lease.check()
    with pytest.raises(LeaseLost, match="session was closed"):
        await stack.aclose()
    async with asyncio.timeout(5), Lock(session, name):
        pass


async def test_closing_the_session_inside_a_body_of_another_task_cancels_that_one(url: str, name: str) -> None:
    inside = asyncio.Event()

    async def body(session: Session) -> None:
        async with Lock(session, name):
            inside.set()
            await asyncio.Event().wait()

    async with Session.open(url) as ending:
        task = asyncio.create_task(body(ending))
        await inside.wait()
    with pytest.raises(LeaseLost, match="session was closed"):
        await task


async def test_closing_is_refused_in_another_loop(url: str, name: str) -> None:
    async with Session.open(url) as session:

        async def close() -> None:
            await ended(session)

        def in_a_thread() -> str:
            try:
                asyncio.run(close())
            except Exception as error:  # noqa: BLE001  # it is what the test looks at
                return type(error).__name__
            return "done"

        assert await asyncio.to_thread(in_a_thread) == "WrongLoop"
        async with Lock(session, name):
            pass
