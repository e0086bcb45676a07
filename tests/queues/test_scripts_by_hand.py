"""Scripts called by hand with what only a broken client would send, and with what is over."""

import asyncio
import time
from typing import Any

import pytest

from shared.concurrency import (
    Queue,
    Session,
)
from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from tests.instruments import inside
from tests.instruments.waiting import until


async def test_a_restart_brings_no_session_back_that_is_over(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(300))
    keys = queue_keys(name)
    dead = "deadowner123.1.60000"
    await client.zadd(keys["sessions"], {dead: 1})
    for number in range(250):  # more than one call of recover takes
        field = b"%016ddeadowner123%010d0000000" % (number, number)
        await client.hset(f"{{{name}}}:leased:{dead}", field, field + b"000.0001")
    keys_of_dead = {**inside.member_at(queue).keys, "leased": leased_key(name, dead)}
    await inside.ask_at(queue, "recover", dead, keys=keys_of_dead)
    assert await client.zscore(keys["sessions"], dead) == 0  # over for ever
    await inside.ask_at(queue, "announce", "another run", "")
    assert await client.zscore(keys["sessions"], dead) == 0
    await client.delete(f"{{{name}}}:leased:{dead}")


async def test_a_restart_brings_no_session_back_whose_waiting_put_was_dropped(
    session: Session, client: Any, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    keys, dead, key = queue_keys(name), "deadowner123.1.60000", b"deadowner1230000000001"
    await client.zadd(keys["sessions"], {dead: 1})
    await client.hset(keys["bodies"], key, dead.encode() + b" " + key + b"0000000000.0002")
    await client.rpush(keys["putters"], key)
    await queue.resize(2)  # its turn comes, and nobody recovers its session yet
    assert await client.llen(keys["putters"]) == 0
    # Had that session lived again, its next put would have gone in, and its process have taken both for let in.
    await inside.ask_at(queue, "announce", "another run", "")
    assert await client.zscore(keys["sessions"], dead) == 0
    assert (await queue.statistics()).pending == 1
    await client.zrem(keys["sessions"], dead)


async def test_a_session_that_is_over_is_not_renewed(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    sessions = queue_keys(name)["sessions"]
    for over in ("deadowner123.1.10000", "deadowner124.1.10000"):
        if over.startswith("deadowner123"):
            await client.zadd(sessions, {over: 1})
        before = await client.zscore(sessions, over)
        assert (await inside.ask_at(queue, "renew", over))[0] == 0
        assert await client.zscore(sessions, over) == before
    await client.zrem(sessions, "deadowner123.1.10000")


async def test_an_orderly_end_is_no_crash(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    for _ in range(6):  # six deployments
        async with Session.open(url) as ending:
            delivery = await Queue(ending, name, int).get()
        assert inside.is_lost(delivery)
    seen = await queue.statistics()
    assert (seen.delayed, seen.dead) == (1, 0)
    async with await queue.get() as item:
        assert item == 1


async def test_a_cancellation_while_a_session_closes_is_raised(url: str, name: str) -> None:
    closing = asyncio.Event()

    async def work() -> None:
        async with Session.open(url) as session:
            await Queue(session, name, int).put(1)
            closing.set()

    task = asyncio.create_task(work())
    await closing.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.usefixtures("only_notified")
async def test_a_deaf_session_takes_no_wake_up(url: str, session: Session, client: Any, name: str) -> None:
    keys = queue_keys(name)
    async with Session.open(url) as other:
        getter = asyncio.create_task(Queue(other, name, int).get())
        await until(lambda: client.zcard(keys["idle"]), lambda idle: idle == 1)
        for number in (1, 2):
            deaf = f"deafdeafdea{number}.1.60000"
            await client.zadd(keys["sessions"], {deaf: time.time() * 1000 + 60_000})
            await client.zadd(keys["idle"], {deaf: number})
        async with asyncio.timeout(100):
            await Queue(session, name, int).put(1)
            async with await getter as item:
                assert item == 1
