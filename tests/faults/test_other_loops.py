"""A session used from another event loop, a thread or a forked child: refused before anything is sent."""

import asyncio
import multiprocessing
import os
import signal
import warnings
from collections.abc import Awaitable, Callable

import pytest

from shared.concurrency import Condition, Event, Lock, Queue, ReadersWritersLease, Semaphore, Session
from tests.instruments.inside import session_of

Use = Callable[[Queue[int]], Awaitable[object]]

USES: dict[str, Use] = {
    "put": lambda queue: queue.put(1),
    "put_nowait": lambda queue: queue.put_nowait(1),
    "put_many": lambda queue: queue.put_many([1, 2]),
    "submit": lambda queue: queue.submit(1),
    "get": lambda queue: queue.get(),
    "get_many": lambda queue: queue.get_many(2, within=1),
    "get_nowait": lambda queue: queue.get_nowait(),
    "qsize": lambda queue: queue.qsize(),
    "join": lambda queue: queue.join(),
    "resize": lambda queue: queue.resize(3),
    "pause": lambda queue: queue.pause(),
    "shutdown": lambda queue: queue.shutdown(),
    "sessions": lambda queue: queue.sessions(),
    "dead_letters": lambda queue: queue.dead_letters(),
    "discard": lambda queue: queue.discard(),
    "lock": lambda queue: Lock(session_of(queue), queue.name).acquire(),
    "semaphore": lambda queue: Semaphore(session_of(queue), queue.name, 2).acquire(),
    "event": lambda queue: Event(session_of(queue), queue.name).set(),
    "condition": lambda queue: Condition(session_of(queue), queue.name).acquire(),
}


def used(queue: Queue[int], use: Use) -> str:
    """What becomes of a use in an event loop of its own."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await use(queue)

    try:
        asyncio.run(bounded())
    except Exception as error:  # noqa: BLE001  # it is what the test looks at
        return f"{type(error).__name__}: {error}"
    return "done"


@pytest.mark.parametrize("word", USES)
async def test_another_loop_in_a_thread_is_refused_and_changes_nothing(url: str, name: str, word: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        said = await asyncio.to_thread(used, queue, USES[word])
        assert said.startswith("WrongLoop: ")
        assert "run_coroutine_threadsafe" in said
        after = await queue.statistics()
        assert (after.pending, after.leased, after.put_total, after.is_shut_down) == (1, 0, 1, False)
        async with await queue.get() as item:
            assert item == 0


async def test_a_read_in_another_loop_joins_none_that_this_one_holds(url: str, name: str) -> None:
    async with Session.open(url) as session:
        lease = ReadersWritersLease(session, name)
        queue = Queue(session, name, int)

        async def read() -> None:
            async with lease.read():
                pass

        async with lease.read():
            assert (await asyncio.to_thread(used, queue, lambda _: read())).startswith("WrongLoop: ")
        async with asyncio.timeout(5), lease.write():
            pass


@pytest.mark.parametrize("settle", ["ack", "nack"])
async def test_a_delivery_is_settled_by_its_own_loop_only(url: str, name: str, settle: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        delivery = await queue.get()
        said = await asyncio.to_thread(used, queue, lambda _: getattr(delivery, settle)())
        assert said.startswith("WrongLoop: ")
        assert (await queue.statistics()).leased == 1
        await delivery.ack()


async def test_a_forked_child_is_refused_and_does_not_disturb_its_parent(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def child() -> None:
            theirs.send(used(queue, USES["qsize"]))

        with warnings.catch_warnings():
            # The heartbeat is a thread; from 3.12 on Python warns of every fork beside one.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = fork.Process(target=child)
            process.start()
        for number in range(1, 200):
            await queue.put(number)
            assert (await queue.statistics()).put_total == number + 1
        said = await asyncio.to_thread(ours.recv)
        await asyncio.to_thread(process.join)
        ours.close()
        theirs.close()
        assert said.startswith("WrongLoop: ")
        assert "a forked child" in said


async def forked(act: Callable[[], Awaitable[object]], meanwhile: Callable[[], Awaitable[None]]) -> str:
    """Fork here, as a coroutine may: what becomes of `act` in the child, once `meanwhile` is over here."""
    ours, theirs = multiprocessing.Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as above
        pid = os.fork()
    if pid == 0:
        try:
            await act()
            theirs.send("done")
        except BaseException as error:  # noqa: BLE001  # the child ends here
            theirs.send(f"{type(error).__name__}: {error}")
        os._exit(0)
    theirs.close()
    try:
        async with asyncio.timeout(40):
            await meanwhile()
        return str(ours.recv()) if await asyncio.to_thread(ours.poll, 1) else "nothing"
    finally:
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, pid, 0)
        ours.close()


async def test_a_child_that_leaves_the_body_of_a_lease_sends_nothing(
    url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(url) as session:
        lock, queue = Lock(session, name), Queue(session, name, int)
        async with lock as lease:

            async def use() -> None:
                for number in range(200):
                    await queue.put(number)

            assert "forked child" in await forked(lease.release, use)
            lease.check()
            assert await lock.locked()
    assert "no connection" not in caplog.text


async def test_a_child_that_goes_on_with_the_loop_takes_no_answer_from_its_parent(
    url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        never = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await never

        async def use() -> None:
            for number in range(1, 500):
                await queue.put(number)
                assert (await queue.statistics()).put_total == number + 1

        assert await forked(wait, use) == "nothing"
    assert not caplog.records
