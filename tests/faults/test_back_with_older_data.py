"""A server that comes back with older data: what it had told before, and what was in and waits in line there again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, ResultLost, Session
from shared.concurrency.queues.queue import participant_of
from shared.local.embedded import EmbeddedServer
from tests.faults.test_disagreement import in_line, restart_with_older_data, take
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]  # a server each, which is started again


async def last_call(client: Redis) -> int:
    """The number of the last call of puts that the server knows, of whichever process."""
    lanes = await resolved(client.hgetall("{q}:lanes"))
    return max((int(call.split()[1]) for lane, call in lanes.items() if lane.endswith(b":put")), default=0)


async def is_over(client: Redis, session_id: str) -> bool:
    """Whether the deadline of a session has passed, by the server's clock."""
    seconds, microseconds = await resolved(client.time())
    deadline = await client.zscore("{q}:sessions", session_id)
    return deadline is None or deadline < seconds * 1000 + microseconds / 1000


@pytest.fixture
async def client(server: EmbeddedServer) -> AsyncIterator[Redis]:
    """To look at the server, and have it save."""
    async with Redis.from_url(server.url, protocol=3) as client:
        yield client


@pytest.fixture
async def proxy(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Proxy]:
    """In front of the test's own server."""
    async with Proxy(server.url, tmp_path) as proxy:
        yield proxy


@pytest.mark.parametrize("key", ["k", None])
async def test_a_put_many_keeps_its_order_when_its_first_portion_was_dropped_with_its_session(
    server: EmbeddedServer, proxy: Proxy, client: Redis, key: str | None
) -> None:
    async with Session.open(server.url) as theirs, Session.open(proxy.url, ttl=1.0) as session:
        other, queue = Queue(theirs, "q", int, maxsize=1), Queue(session, "q", int)
        await other.qsize()
        await queue.put(-1, key="w")
        async with proxy.holding("put") as hold:
            putting = asyncio.create_task(queue.put_many(range(260), key=key))
            await hold.arrived.wait()
            await in_line(other, 250)
            between = asyncio.create_task(other.put(-2))
            await in_line(other, 251)
        await in_line(other, 261)
        session_id = participant_of(queue).member.session_id
        with proxy.refusing():
            await until(lambda: is_over(client, session_id), bool)
            assert await take(other, 1) == [-1]
            await between
        await in_line(other, 260)  # all of them again
        taken = await take(other, 261)
        await putting
    assert taken == [-2, *range(260)]


@pytest.mark.parametrize("later", [False, True])
async def test_a_result_is_lost_and_its_message_cancelled_where_it_waits_for_room_again(
    server: EmbeddedServer, client: Redis, *, later: bool
) -> None:
    """`later`: another call of puts was answered meanwhile, of which the older data know nothing."""
    async with Session.open(server.url) as session, Session.open(server.url) as handling:
        queue, theirs = Queue(session, "q", int, maxsize=1), Queue(handling, "q", int, maxsize=1)
        await theirs.put(1)
        submitting = asyncio.create_task(queue.submit(2))
        await in_line(theirs, 1)
        await client.save()
        third = asyncio.create_task((queue if later else theirs).submit(3))
        await in_line(theirs, 2)
        assert await take(theirs, 1) == [1]
        result = await submitting
        await restart_with_older_data(server)
        with pytest.raises(ResultLost, match="is cancelled"):
            await asyncio.wait_for(result, 20)
        await in_line(theirs, 2)
        # Whoever submits it again does not have it twice.
        assert await take(theirs, 2) == [1, 3]
        _ = await third


async def test_who_waits_for_a_result_hears_of_it_though_the_first_connection_to_the_new_run_breaks(
    server: EmbeddedServer, proxy: Proxy, client: Redis
) -> None:
    async with Session.open(proxy.url) as session, Session.open(server.url) as handling:
        queue, theirs = Queue(session, "q", int, maxsize=1), Queue(handling, "q", int, maxsize=1)
        await theirs.put(1)
        submitting = asyncio.create_task(queue.submit(2))
        await in_line(theirs, 1)
        await client.save()
        assert await take(theirs, 1) == [1]
        free = [Queue(each, "free", int) for each in (handling, session)]
        attached = [await queue.submit(3, id="lost") for queue in free]
        result = await submitting
        async with proxy.holding("announce") as hold:
            await restart_with_older_data(server)
            await hold.arrived.wait()
            proxy.cut()
        for future in (result, *attached):
            with pytest.raises(ResultLost):
                await asyncio.wait_for(future, 20)


async def test_a_result_in_line_again_is_lost_though_the_server_loads_for_a_while(tmp_path: Path) -> None:
    slowly = ("--key-load-delay", "400", "--loading-process-events-interval-bytes", "1024")
    with EmbeddedServer(tmp_path / "s", options=slowly) as server:
        async with Redis.from_url(server.url, protocol=3) as client, Session.open(server.url) as session:
            queue = Queue(session, "q", int, maxsize=1)
            await client.mset({f"x{number}": "y" * 100 for number in range(3000)})
            await queue.put(1)
            submitting = asyncio.create_task(queue.submit(2))
            await in_line(queue, 1)
            await client.save()
            assert await take(queue, 1) == [1]
            result = await submitting
            await restart_with_older_data(server)
            with pytest.raises(ResultLost):
                await asyncio.wait_for(result, 30)


@pytest.mark.parametrize("key, id_", [("k", "seven"), (None, None), (None, "seven")])
async def test_a_put_does_not_return_by_what_was_notified_before(
    server: EmbeddedServer, proxy: Proxy, client: Redis, key: str | None, id_: str | None
) -> None:
    async with Session.open(proxy.url) as session, Session.open(server.url) as theirs:
        queue, other = Queue(session, "q", int, maxsize=2), Queue(theirs, "q", int, maxsize=2)
        await other.put_many([1, 2])
        waiting = asyncio.create_task(queue.put(7, key=key, id=id_))
        await in_line(other, 1)
        await client.save()
        async with proxy.holding("?") as hold:
            participant_of(queue).puts.resync()
            await hold.arrived.wait()  # its question is on its way when it is let in
            assert await take(other, 1) == [1]
            before = await last_call(client)
            await restart_with_older_data(server)
        await until(lambda: last_call(client), lambda number: number > before)  # it was put again
        assert not waiting.done()
        calls = await ran(client, lambda: asyncio.sleep(1))
        assert calls < 20  # nor does it ask all the time
        await take(other, 1)
        await asyncio.wait_for(waiting, 20)
        assert 7 in await take(other, 2)


async def ran(client: Redis, meanwhile: Callable[[], Awaitable[object]]) -> int:
    """How many scripts the server ran meanwhile."""

    async def count() -> int:
        statistics = await client.info("commandstats")
        return sum(found["calls"] for word, found in statistics.items() if word.startswith("cmdstat_evalsha"))

    before = await count()
    await meanwhile()
    return await count() - before
