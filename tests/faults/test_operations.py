"""Operations: each has one effect though its answer is lost, and none once its caller has cancelled it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueStatistics, Session
from shared.concurrency.queues.service import notified_to_drain
from shared.concurrency.session.scripts import scripts
from tests.instruments.proxy import Proxy

Act = Callable[[Queue[int]], Awaitable[object]]


@pytest.fixture(autouse=True)
async def scripts_are_known(client: Redis) -> None:
    """Or the answer that is held back would be that the server does not know the script."""
    for script in scripts("operations") + scripts("dead") + scripts("sessions"):
        await client.script_load(script.source)


async def let_die(queue: Queue[int], count: int) -> None:
    await queue.put_many(range(count))
    for _ in range(count):
        await (await queue.get()).dead_letter("why")


async def reopen_and_put(queue: Queue[int]) -> None:
    await queue.reopen()
    await queue.put_many([1, 2, 3])


# The script, what comes before, the step whose answer is lost, what somebody else does meanwhile, and what is right.
LOST: dict[str, tuple[str, Act, Act, Act, Callable[[QueueStatistics], bool]]] = {
    "shutdown": (
        "shutdown", lambda _: asyncio.sleep(0), lambda queue: queue.shutdown(), lambda queue: queue.reopen(),
        lambda seen: not seen.is_shut_down,
    ),
    "shutdown at once": (
        "shutdown", lambda _: asyncio.sleep(0), lambda queue: queue.shutdown(immediate=True), reopen_and_put,
        lambda seen: (seen.is_shut_down, seen.dead, seen.pending) == (False, 0, 3),
    ),
    "reopen": (
        "reopen", lambda queue: queue.shutdown(), lambda queue: queue.reopen(), lambda queue: queue.shutdown(),
        lambda seen: seen.is_shut_down,
    ),
    "resize": (
        "resize", lambda _: asyncio.sleep(0), lambda queue: queue.resize(5), lambda queue: queue.resize(50),
        lambda seen: seen.maxsize == 50,
    ),
    "resize of the other settings": (
        "resize", lambda _: asyncio.sleep(0), lambda queue: queue.resize(max_attempts=2, max_dead=9),
        lambda queue: queue.resize(max_attempts=3, max_dead=None), lambda seen: (seen.max_attempts, seen.max_dead) == (3, None),
    ),
    "pause": (
        "pause", lambda _: asyncio.sleep(0), lambda queue: queue.pause(), lambda queue: queue.resume(),
        lambda seen: not seen.is_paused,
    ),
    "resume": (
        "resume", lambda queue: queue.pause(), lambda queue: queue.resume(), lambda queue: queue.pause(),
        lambda seen: seen.is_paused,
    ),
    "discard of a page": (
        "letters", lambda queue: let_die(queue, 3), lambda queue: queue.discard(), lambda queue: let_die(queue, 2),
        lambda seen: seen.dead == 2,
    ),
    "replay of a page": (
        "letters", lambda queue: let_die(queue, 3), lambda queue: queue.replay(), lambda queue: let_die(queue, 2),
        lambda seen: (seen.dead, seen.pending) == (2, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LOST)
async def test_a_step_whose_answer_is_lost_is_not_done_again_over_somebody_else_s(
    proxy: Proxy, url: str, name: str, what: str
) -> None:
    script, prepare, step, between, is_right = LOST[what]
    async with Session.open(proxy.url) as session, Session.open(url) as other, asyncio.timeout(100):
        queue, theirs = Queue(session, name, int), Queue(other, name, int)
        await prepare(theirs)
        async with proxy.holding(script) as hold:
            doing = asyncio.ensure_future(step(queue))
            await hold.arrived.wait()
            await between(theirs)
            proxy.cut()
            await doing
        assert proxy.count(script) > 1, "the answer was not lost"
        seen = await theirs.statistics()
        assert is_right(seen), seen
        await theirs.resume()
        await theirs.reopen()


async def test_a_drain_whose_answer_is_lost_reaches_nobody_who_came_since(proxy: Proxy, url: str, name: str) -> None:
    async with Session.open(proxy.url) as session, Session.open(url) as first, Session.open(url) as second:
        queue, early, late = (Queue(each, name, int) for each in (session, first, second))
        drained = asyncio.create_task(notified_to_drain(early))
        await asyncio.sleep(0)
        await early.qsize()
        async with asyncio.timeout(100):
            async with proxy.holding("drain") as hold:
                draining = asyncio.create_task(queue.drain())
                await hold.arrived.wait()
                spared = asyncio.create_task(notified_to_drain(late))
                await asyncio.sleep(0)
                await late.qsize()
                proxy.cut()
                told = await draining
            assert len(told) == 1
            await drained
        assert [each.is_draining for each in await queue.sessions() if each.owner != told[0] and each.is_consumer] == [
            False
        ]
        spared.cancel()
        await asyncio.wait({spared})


ABANDONED: dict[str, Act] = {
    "qsize": lambda queue: queue.qsize(),
    "join": lambda queue: queue.join(),
    "sessions": lambda queue: queue.sessions(),
    "dead_letters": lambda queue: queue.dead_letters(),
    "shutdown": lambda queue: queue.shutdown(),
    "shutdown at once": lambda queue: queue.shutdown(immediate=True),
    "resize": lambda queue: queue.resize(77),
    "pause": lambda queue: queue.pause(),
    "drain": lambda queue: queue.drain(),
    "discard": lambda queue: queue.discard(),
    "replay": lambda queue: queue.replay(),
}


@pytest.mark.parametrize("what", ABANDONED)
async def test_a_call_that_was_given_up_in_an_outage_is_never_sent(
    proxy: Proxy, url: str, name: str, what: str
) -> None:
    async with Session.open(proxy.url, ttl=20) as session, Session.open(url) as other:
        queue, theirs = Queue(session, name, int), Queue(other, name, int, maxsize=9)
        await let_die(theirs, 1)
        await theirs.put(1)
        await queue.qsize()
        before = await theirs.statistics()
        with proxy.refusing():
            tasks = asyncio.all_tasks()
            for _ in range(50):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await ABANDONED[what](queue)
            # The server of the proxy has tasks of its own, for the connections that it refuses.
            new = {task for task in asyncio.all_tasks() - tasks if "_accept" not in repr(task.get_coro())}
            assert len(new) <= 1, "calls go on without their callers"  # the lane's own
            sent = len(proxy.of_session())
        async with asyncio.timeout(100):
            await queue.resume()  # behind all that went before
        asked = {command.name for command in proxy.of_session()[sent:]}
        assert not asked & {
            "statistics", "join", "list_sessions", "letters", "shutdown", "resize", "pause", "drain", "discard", "replay",
        }  # fmt: skip
        after = await theirs.statistics()
        assert (after.is_shut_down, after.is_paused, after.maxsize, after.dead, after.pending) == (
            before.is_shut_down, before.is_paused, before.maxsize, before.dead, before.pending,
        )  # fmt: skip


async def test_a_step_that_is_on_its_way_when_its_caller_goes_is_not_repeated(
    proxy: Proxy, url: str, name: str
) -> None:
    async with Session.open(proxy.url) as session, Session.open(url) as other, asyncio.timeout(100):
        queue, theirs = Queue(session, name, int), Queue(other, name, int)
        async with proxy.holding("resize") as hold:
            resizing = asyncio.create_task(queue.resize(5))
            await hold.arrived.wait()
            resizing.cancel()
            await asyncio.wait({resizing})
            assert resizing.cancelled()
            proxy.cut()
        await queue.pause()  # behind it
        assert proxy.count("resize") == 1
        seen = await theirs.statistics()
        assert (seen.maxsize, seen.is_paused) == (5, True)
