"""Dead letters are counted by reason and class, by every script that makes, replays or discards one."""

import json
from collections import Counter
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis

from shared.concurrency import Queue, Selection, Session
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.inside import renew_now
from tests.instruments.waiting import resolved, until


class Job(BaseModel):
    number: int


class Row(BaseModel):
    number: int


async def groups(client: Redis, name: str) -> dict[Any, int]:
    """As they are kept, once they agree with the letters themselves."""
    (await take_census(client, name)).check()
    kept = await resolved(client.hgetall(f"{{{name}}}:dead:groups"))
    return {"others" if group == b"others" else tuple(json.loads(group)): int(count) for group, count in kept.items()}


async def counted(queue: Queue[Any]) -> dict[Any, int]:
    """The same, counted by reading every letter."""
    return Counter([(letter.reason, letter.type or "") async for letter in queue.letters.find(Selection())])


async def test_each_reason_and_class_is_counted(client: Redis, session: Session, name: str) -> None:
    jobs, rows = Queue(session, name, Job), Queue(session, name, Row, max_attempts=1)
    await jobs.put_many([Job(number=1), Job(number=2)])
    for reason in ("unwanted", 'a "quoted"\nreason'):
        await (await jobs.get()).dead_letter(reason)
    await rows.put(Row(number=3))
    await (await rows.get()).nack()
    await resolved(client.rpush(f"{{{name}}}:pending", "garbage"))
    await jobs.put(Job(number=4))
    await (await jobs.get()).dead_letter("unwanted")
    await jobs.put(Job(number=5))
    await jobs.shutdown(immediate=True)
    expected = {
        ("unwanted", "Job"): 2, ('a "quoted"\nreason', "Job"): 1, ("failed", "Row"): 1, ("undecodable", ""): 1,
        ("shutdown", "Job"): 1,
    }  # fmt: skip
    assert await groups(client, name) == await counted(jobs) == expected


async def test_what_is_replayed_or_discarded_is_counted_no_more(client: Redis, session: Session, name: str) -> None:
    jobs, rows = Queue(session, name, Job, max_attempts=1), Queue(session, name, Row)
    await jobs.put(Job(number=1))
    await (await jobs.get()).nack()
    await rows.put_many([Row(number=2), Row(number=3)])
    for _ in range(2):
        await (await rows.get()).nack()
    (first,) = [letter.key async for letter in jobs.letters.find(Selection(type="Job"))]
    assert await jobs.replay([first]) == 1
    assert await groups(client, name) == {("failed", "Row"): 2}
    await (await jobs.get()).dead_letter("again")
    assert await jobs.letters.discard(Selection(type="Row")) == 2
    assert await groups(client, name) == {("again", "Job"): 1}
    assert await jobs.discard() == 1
    assert await groups(client, name) == {}


async def test_what_a_limit_discards_is_counted_no_more(client: Redis, session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1, max_dead=3)
    await queue.put_many(range(7))
    for number in range(7):
        await (await queue.get()).dead_letter("even" if number % 2 == 0 else "odd")
    assert await groups(client, name) == await counted(queue)
    await queue.resize(max_dead=1)
    renew_now(session)
    await until(lambda: groups(client, name), lambda kept: sum(kept.values()) == 1)


async def test_what_crashed_is_counted(client: Redis, session: Session, other: Session, name: str) -> None:
    queue = Queue(session, name, int, max_crashes=1)
    await queue.put_many(range(2))
    dying = Queue(other, name, int)
    held = [await dying.get() for _ in range(2)]
    await inside.crash(client, session, name, other)
    assert all(map(inside.is_lost, held))
    assert await groups(client, name) == {("crashed", ""): 2}


async def test_beyond_200_groups_the_others_count_as_one(client: Redis, session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(203))
    for number in range(203):
        await (await queue.get()).dead_letter(f"reason {number}")
    kept = await groups(client, name)
    assert (len(kept), kept["others"]) == (201, 3)
    # Where there is room again, those that count among the others stay there until they go.
    assert await queue.letters.discard(Selection(reason="reason 0")) == 1
    await queue.put(203)
    await (await queue.get()).dead_letter("reason 202")
    kept = await groups(client, name)
    assert (kept["others"], kept[("reason 202", "")]) == (3, 1)
    assert await queue.letters.discard(Selection(reason="reason 202")) == 2
    assert (await groups(client, name))["others"] == 2
    assert await queue.discard() == 201
    assert await groups(client, name) == {}
