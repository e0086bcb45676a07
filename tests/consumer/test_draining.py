"""Consumer services are told to drain: one or all, busy or cut off for a moment; and nobody else."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import redis

from shared.concurrency import Queue, QueueSession, Session
from shared.concurrency.queues.service import notified_to_drain
from tests.instruments import inside, programs
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.services import Service, wait_for
from tests.instruments.services import running as service
from tests.instruments.waiting import until

TTL = 1.0

pytestmark = [pytest.mark.timeout(180), pytest.mark.session_ttl(TTL)]


def consumers(sessions: list[QueueSession]) -> dict[str, bool]:
    return {session.owner: session.is_draining for session in sessions if session.is_consumer}


async def test_sessions_are_told_with_what_they_hold(url: str, name: str, queue: Queue[int]) -> None:
    await queue.put_many([1, 2, 3])
    async with running(programs.hold, url, name, TTL, 2) as holder:
        await holder.said("got", 2)
        ours, theirs = sorted(await queue.sessions(), key=lambda session: session.held)
        assert (ours.owner, ours.held) == (inside.owner_at(queue), 0)
        assert theirs.held == 2
        assert 0 < theirs.seconds_left <= TTL
        assert (theirs.is_consumer, theirs.is_draining) == (False, False)
        await holder.kill()

        async def left() -> float:
            return max(session.seconds_left for session in await queue.sessions() if session.owner == theirs.owner)

        await until(left, lambda seconds: seconds == 0.0)


async def test_one_among_three_drains_and_the_others_go_on(url: str, name: str, queue: Queue[int]) -> None:
    async with (
        running(programs.serve, url, name, TTL) as first,
        running(programs.serve, url, name, TTL) as second,
        running(programs.serve, url, name, TTL) as third,
        running(programs.consume, url, name, TTL) as no_service,
    ):
        owners = [await process.said("ready") for process in (first, second, third)]
        await no_service.said("ready")
        assert consumers(await queue.sessions()) == dict.fromkeys(owners, False)
        assert await queue.drain(owners[1]) == [owners[1]]
        await second.said("drained")
        assert await second.ended() == 0
        assert consumers(await queue.sessions()) == {owners[0]: False, owners[2]: False}
        assert await queue.drain(owners[1]) == []
        assert await queue.drain("nobody") == []
        assert await queue.drain(inside.owner_at(queue)) == []
        await queue.put_many(range(50))
        async with asyncio.timeout(40):
            await queue.join()
        assert set(await queue.drain()) == {owners[0], owners[2]}
        assert [await first.ended(), await third.ended()] == [0, 0]
        # Who only takes is not ended.
        await queue.put(99)
        await until(said(no_service, "acked"), lambda items: 99 in items)


def said(process: Any, word: str) -> Callable[[], Any]:
    async def look() -> list[Any]:
        found: list[Any] = process.reports(word)
        return found

    return look


async def test_a_consumer_hears_of_it_at_once(url: str, name: str, queue: Queue[int]) -> None:
    async with Session.open(url, ttl=600) as session:
        theirs = Queue(session, name, int)
        told = asyncio.create_task(notified_to_drain(theirs))
        await asyncio.sleep(0)
        await theirs.statistics()
        assert await queue.drain(inside.owner_of(session)) == [inside.owner_of(session)]
        # Its next renewal is minutes away.
        async with asyncio.timeout(100):
            await told


async def test_a_consumer_that_was_cut_off_when_it_was_told_hears_of_it(
    name: str, proxy: Proxy, queue: Queue[int]
) -> None:
    async with Session.open(proxy.url, ttl=TTL) as session:
        theirs = Queue(session, name, int)
        told = asyncio.create_task(notified_to_drain(theirs))
        await asyncio.sleep(0)
        await theirs.statistics()
        with proxy.refusing():
            assert await queue.drain() == [inside.owner_of(session)]
            await asyncio.sleep(0)
            assert not told.done()
        async with asyncio.timeout(5):
            await told
        assert consumers(await queue.sessions()) == {inside.owner_of(session): True}


async def test_a_consumer_whose_session_passed_its_deadline_is_told_under_the_next(
    name: str, proxy: Proxy, queue: Queue[int]
) -> None:
    async with Session.open(proxy.url, ttl=TTL) as session:
        theirs = Queue(session, name, int)
        told = asyncio.create_task(notified_to_drain(theirs))
        await asyncio.sleep(0)
        await theirs.statistics()
        before = inside.session_id_at(theirs)
        with proxy.refusing():
            assert await queue.drain() == [inside.owner_of(session)]

            async def session_id() -> str:
                return inside.session_id_at(theirs)

            await until(session_id, lambda now: now != before)
        await theirs.statistics()
        async with asyncio.timeout(5):
            await told


async def test_a_stopped_consumer_drains_when_it_goes_on(url: str, name: str, queue: Queue[int]) -> None:
    async with running(programs.serve, url, name, TTL) as process:
        owner = await process.said("ready")
        process.stop()
        assert await queue.drain(owner) == [owner]
        # Longer than its session lives: it goes on under another one.
        async with asyncio.timeout(40):
            await until(
                queue.sessions, lambda sessions: all(each.seconds_left == 0 for each in sessions if each.owner == owner)
            )
        process.cont()
        await process.said("drained")
        assert await process.ended() == 0


async def test_a_killed_consumer_is_forgotten(url: str, name: str, queue: Queue[int]) -> None:
    async with running(programs.serve, url, name, TTL) as process:
        owner = await process.said("ready")
        assert await queue.drain("x") == []
        process.stop()
        assert await queue.drain(owner) == [owner]
        await process.kill()
    getting = asyncio.create_task(queue.get())  # whoever takes recovers
    await until(
        queue.sessions,
        lambda sessions: [each.owner for each in sessions] == [inside.owner_at(queue)],
        10 * TTL,
    )
    assert await queue.drain() == []
    getting.cancel()
    await asyncio.wait({getting})


def test_the_service_drains_when_it_is_told_and_ends_with_0(url: str, name: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_GRACE": "5"}
    with service("consumer", **settings) as told, service("consumer", **settings) as other:
        wait_for(told, "consuming")
        wait_for(other, "consuming")
        owner = asyncio.run(tell_one(url, name))
        said = {process: ended_with(process) for process in (told, other)}
        (ended,) = [process for process, what in said.items() if what is not None]
        assert ended.returncode == 0
        assert f'"owner": "{owner}"' in (said[ended] or "")
        assert '"drained"' in (said[ended] or "")
        (left,) = {told, other} - {ended}
        left.send_signal(signal.SIGTERM)
        left.communicate(timeout=90)
        assert left.returncode == 0
    with redis.Redis.from_url(url) as client:
        assert client.zcard(f"{{{name}}}:sessions") == 0


async def tell_one(url: str, name: str) -> str:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)

        async def there() -> list[str]:
            return sorted(consumers(await queue.sessions()))

        owner, other = await until(there, lambda found: len(found) == 2)
        assert await queue.drain(owner) == [owner]
        await until(there, lambda found: found == [other])
    return owner


def ended_with(process: Service) -> str | None:
    """What a service said until it ended; None when it runs on."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=2)[1]
    return None
