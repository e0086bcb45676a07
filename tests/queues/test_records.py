"""What a queue keeps in its keys, for how long, and what it forgets."""

import asyncio
import gc
import time
from typing import Any

import pytest

from shared.concurrency import (
    IdConflict,
    Queue,
    Session,
)
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.waiting import until


async def test_ids_that_have_expired_are_forgotten(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int, known_for=0.05)
    keys = queue_keys(name)
    for number in range(5):
        await queue.put(number, id=f"id{number}")
    await asyncio.sleep(0.1)
    await queue.put(9, id="last")
    assert (await client.hlen(keys["ids"]), await client.zcard(keys["ids_due"])) == (1, 1)


async def test_stamps_are_never_twice_the_same(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(0)
    keys = queue_keys(name)
    ahead = 2_000_000_000_000_000  # the clock went back
    await client.hset(keys["totals"], "stamp", ahead)
    await queue.put(1)
    await queue.put(2)
    for number in (3, 4):
        await queue.put(number, id=str(number))  # the whole script, and not the short way of a put
    stamps = [int(entry[:16]) for entry in await client.lrange(keys["pending"], 0, -1)]
    assert stamps[1:] == [ahead + 1, ahead + 2, ahead + 3, ahead + 4]


async def test_lane_records_are_kept_for_a_day(url: str, session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    lanes, now = queue_keys(name)["lanes"], int(time.time() * 1000)
    await client.hset(lanes, "old:put", f"{now - 25 * 3_600_000} 1 ")
    await client.hset(lanes, "resting:put", f"{now - 23 * 3_600_000} 1 ")
    async with Session.open(url) as other:
        await Queue(other, name, int).put(2)
    assert [await client.hexists(lanes, word) for word in ("old:put", "resting:put")] == [False, True]


async def test_renewals_keep_the_record_of_a_consumer(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    inside.member_at(queue).registration.can_drain()
    await queue.put(1)
    lanes, word = queue_keys(name)["lanes"], f"{inside.owner_at(queue)}:consumer"
    record = await client.hget(lanes, word)
    await client.hset(lanes, word, b"1 " + record.split(b" ", 1)[1])
    await inside.ask_at(queue, "renew", inside.session_id_at(queue))
    assert int((await client.hget(lanes, word)).split()[0]) > 1


async def test_nothing_that_is_settled_is_kept(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(20))
    for _ in range(20):
        await (await queue.get()).ack()
    gc.collect()
    assert inside.held_at(queue) == {}


async def test_a_session_that_ends_leaves_no_bodies(url: str, session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    async with Session.open(url) as ending:
        waiting = asyncio.create_task(Queue(ending, name, int).put(1))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await asyncio.wait({waiting})
    assert waiting.exception() is not None
    assert await client.exists(queue_keys(name)["putters"], queue_keys(name)["bodies"]) == 0


async def test_a_result_is_kept_for_an_hour_where_nobody_said(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    keys = queue_keys(name)
    entry = await client.lpop(keys["pending"])
    await client.rpush(keys["pending"], entry[:48] + b"r" + entry[49:])
    await (await queue.get()).ack("done")
    ((_, due),) = await client.zrange(keys["results_due"], 0, -1, withscores=True)
    assert abs(due - time.time() * 1000 - 3_600_000) < 60_000


async def test_the_server_forgets_which_puts_it_refused_once_that_was_heard(
    session: Session, client: Any, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    first = asyncio.create_task(queue.put(1, id="one"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    second = asyncio.create_task(queue.put(2, id="one"))  # conflicts once the first is in
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    await queue.resize(2)
    await first
    await (await queue.get()).ack()
    with pytest.raises(IdConflict):
        await second
    lanes, word = queue_keys(name)["lanes"], f"{inside.owner_at(queue)}:line"
    assert (
        len((await client.hget(lanes, word)).split()) == 3
    )  # when, the last that was let in, and the one that was not
    await queue.put(3)
    assert len((await client.hget(lanes, word)).split()) == 2
