"""What a call moves is bounded by bytes too: 2 MiB, or one message that is larger."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.concurrency import Delivery, Queue, Selection, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.waiting import until

LARGE = "x" * 250_000
MANY = 100
PART = (2 << 20) // 250_100
"""So many of them have 2 MiB at most."""
DEAD = "deaddeaddead.1.10000"

pytestmark = pytest.mark.slow


@pytest.fixture
async def large(queue: Queue[int]) -> Queue[str]:
    """The same queue, of texts; small ones stand before the large ones, so that the first one tells no size."""
    large = Queue(inside.session_of(queue), "jobs", str)
    await large.put_many(["small"] * 20 + [LARGE] * MANY)
    return large


async def taken(queue: Queue[str], count: int = 20 + MANY) -> list[Delivery[str]]:
    return [await queue.get() for _ in range(count)]


async def lengths(client: Any, key: str) -> list[int]:
    return [len(entry) for entry in await client.lrange(f"{{jobs}}:{key}", 0, -1)]


async def in_steps(count: Callable[[], Any], call: Callable[[], Any]) -> list[int]:
    """How many each call moved, until one moves none."""
    steps: list[int] = []
    while True:
        before = await count()
        await call()
        if not (step := abs(await count() - before)):
            return steps
        steps.append(step)


def check(steps: list[int], total: int, part: int) -> None:
    """The first one may meet the small ones too."""
    assert sum(steps) == total
    assert len(steps) > 2
    assert max(steps[1:]) <= part, steps


async def test_what_is_recovered(client: Any, large: Queue[str], server: EmbeddedServer) -> None:
    held = await taken(large)
    order = [inside.receipt_of(delivery)[:38] for delivery in held]
    async with Session.open(server.url) as other:
        await Queue(other, "jobs", str).statistics()
        async with timed(client) as calls:
            await inside.crash(client, other, "jobs", inside.session_of(large))
    assert calls.worst < GENEROUS
    assert len(calls.milliseconds) > MANY / PART
    assert [entry[:38] for entry in await client.lrange("{jobs}:returned", 0, -1)] == order


async def test_what_a_session_gives_back_at_its_end(client: Any, large: Queue[str]) -> None:
    held = await taken(large)
    names = b"".join(sorted(inside.held_at(large)))
    id_ = inside.session_id_at(large)
    assert len(held) == 20 + MANY
    total, left, looked = await inside.ask_at(large, "leave", id_, b"", names)
    assert (total, left) == (looked, 20 + MANY - looked)
    assert 20 < looked <= 20 + PART
    await inside.member_at(large).leave(b"")
    assert len(await lengths(client, "returned")) == 20 + MANY


@pytest.mark.parametrize("kind, value", [("return", 0), ("nack", 0), ("nack", 60_000), ("dead", "why"), ("lost", 0)])
async def test_what_is_settled(client: Any, large: Queue[str], *, kind: str, value: Any) -> None:
    held = await taken(large)
    async with timed(client) as calls:
        await asyncio.gather(*(handout_of(delivery).settled(kind, value) for delivery in held))
    assert calls.worst < GENEROUS
    assert len(calls.milliseconds) > MANY / PART
    assert (await large.statistics()).leased == 0


async def test_what_a_resync_gives_back(client: Any, large: Queue[str]) -> None:
    held = await taken(large)
    for delivery in held[1:]:
        inside.forget(large, delivery)
    await large.pause()  # nothing is taken meanwhile
    async with timed(client) as calls:
        inside.resync_needed(large)
        await until(large.statistics, lambda seen: seen.leased == 1)
    assert calls.worst < GENEROUS
    assert len(calls.milliseconds) > MANY / PART
    order = [inside.receipt_of(delivery)[:38] for delivery in held[1:]]
    assert [entry[:38] for entry in await client.lrange("{jobs}:returned", 0, -1)] == order
    await held[0].ack()


async def test_a_shutdown_at_once(client: Any, large: Queue[str]) -> None:
    async def dead() -> int:
        return (await large.statistics()).dead

    begins = iter([1] + [0] * 1000)
    check(await in_steps(dead, lambda: inside.operate_at(large, "shutdown", 1, next(begins))), 20 + MANY, PART + 1)
    assert await client.hget("{jobs}:settings", "shutdown") == b"immediate"


async def test_dead_letters_that_are_put_back_and_deleted_by_their_keys(client: Any, large: Queue[str]) -> None:
    await large.shutdown(immediate=True)
    await large.reopen()
    keys = [letter.key async for letter in large.letters.find(Selection())]
    went, _, _, _, looked = await inside.participant_of(inside.session_of(large), "jobs").operate("replay", *keys)
    assert went == looked <= 20 + PART
    async with timed(client) as calls:
        assert (await large.letters.replay(keys[looked:])).replayed == len(keys) - looked
    assert calls.worst < GENEROUS
    assert await lengths(client, "pending") == sorted(await lengths(client, "pending"))
    await large.shutdown(immediate=True)
    assert await large.letters.discard(keys) == len(keys)
    assert await client.hlen("{jobs}:dead") == await client.zcard("{jobs}:dead:index") == 0


async def test_a_replay_that_finds_no_room_half_way(large: Queue[str]) -> None:
    await large.shutdown(immediate=True)
    await large.reopen()
    await large.resize(40)
    keys = [letter.key async for letter in large.letters.find(Selection())]
    replayed = await large.letters.replay(keys)
    assert (replayed.replayed, replayed.no_room, replayed.missing) == (40, len(keys) - 40, 0)


async def test_what_waits_in_the_line(client: Any, queue: Queue[int], server: EmbeddedServer) -> None:
    await queue.resize(1)
    await queue.put(0)
    there = [Session.open(server.url) for _ in range(20)]
    putters = [Queue(await session.__aenter__(), "jobs", str) for session in there]
    putting = [asyncio.create_task(each.put_many([LARGE] * 3)) for each in putters]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 60)
    await queue.pause()
    async with timed(client) as calls:
        assert await inside.operate_at(queue, "resize", 0) == 1
        assert 1 < (await queue.statistics()).pending <= 1 + 8 + PART
        while await inside.operate_at(queue, "resize", ""):
            pass
    assert calls.worst < GENEROUS
    await asyncio.gather(*putting)
    for session in there:
        await session.__aexit__(None, None, None)


async def test_what_was_cancelled_before_anybody_took_it(client: Any, queue: Queue[int]) -> None:
    asked = Queue(inside.session_of(queue), "jobs", str, result=str)
    for future in [await asked.submit(LARGE) for _ in range(MANY)]:
        future.cancel()
    await until(lambda: client.zcard("{jobs}:marks"), lambda count: count == MANY)

    async def pending() -> int:
        return (await asked.statistics()).pending

    check(await in_steps(pending, lambda: inside.take_unheard(asked, 1000)), MANY, 2 * PART + 1)


async def test_what_is_no_message(client: Any, queue: Queue[int]) -> None:
    """A list of it is gone along 500 at a time."""
    await client.rpush("{jobs}:pending", *["no entry"] * 1200)

    async def pending() -> int:
        return (await queue.statistics()).pending

    steps = await in_steps(pending, lambda: inside.take_unheard(queue, 1000))
    assert sum(steps) == 1200
    assert max(steps) < 500 + 128


async def test_what_is_delayed_and_crashed_twice(client: Any, large: Queue[str]) -> None:
    held = await taken(large)
    await asyncio.gather(*(handout_of(each).settled("lost") for each in held))
    moved = await client.lrange("{jobs}:returned", 0, -1)
    await client.delete("{jobs}:returned")
    await client.zadd("{jobs}:delayed", {entry[:38] + b"2" + entry[39:]: 1 for entry in moved})

    async def delayed() -> int:
        return int(await client.zcard("{jobs}:delayed"))

    check(await in_steps(delayed, lambda: inside.take_unheard(large, 1000)), 20 + MANY, 2 * PART + 16)


async def test_a_session_s_receipts_are_read_some_at_a_time(large: Queue[str]) -> None:
    held = await taken(large)
    keys, cursor, parts = inside.member_at(large).keys, b"0", []
    while True:
        cursor, joined = await inside.ask_at(large, "receipts", cursor, keys=keys)
        parts.append({joined[at : at + 45] for at in range(0, len(joined), 45)})
        if cursor == b"0":
            break
    assert set().union(*parts) == {inside.receipt_of(each) for each in held}
    assert len(parts) > 5
    await asyncio.gather(*(each.ack() for each in held))
