"""The rules of the queue (docs/guarantees.md) that speak of putting: 1 to 5, 14 and 15."""

import asyncio
import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, PlainSerializer
from redis.asyncio import Redis

from shared.concurrency import (
    IdConflict,
    MessageTooLarge,
    Queue,
    QueueFull,
    QueueStatistics,
    Session,
)
from shared.concurrency.queues.membership.keys import queue_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.emptying import drain, take
from tests.instruments.waiting import until


async def in_line(queue: Queue[Any], count: int) -> QueueStatistics:
    """Wait until so many puts are in line."""
    return await until(queue.statistics, lambda statistics: statistics.puts_waiting == count)


async def test_rule_1_pending_and_delayed_count_against_the_bound(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    await queue.put_many([1, 2])
    await (await queue.get()).nack(delay=60)
    with pytest.raises(QueueFull):
        await queue.put_nowait(3)
    statistics = await queue.statistics()
    assert (statistics.pending, statistics.delayed) == (1, 1)


async def test_rule_1_what_was_delivered_once_never_enters_pending_again(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    first = await queue.get()
    await queue.put(2)
    await first.nack()
    statistics = await queue.statistics()
    assert (statistics.pending, statistics.delayed) == (1, 1)
    assert await drain(queue) == [1, 2]


async def test_rule_1_the_bound_is_stored_and_only_resize_changes_it(
    session: Session, url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await Queue(session, name, int, maxsize=3, max_attempts=2).put(1)
    async with Session.open(url) as other:
        second = Queue(other, name, int, maxsize=7)
        statistics = await second.statistics()
        assert (statistics.maxsize, statistics.max_attempts) == (3, 2)
        assert "keeps the setting that it has" in caplog.text
        await second.resize(1)
        with pytest.raises(QueueFull):
            await Queue(other, name, int).put_nowait(2)


async def test_rule_1_after_a_shrink_nothing_enters_until_there_is_room(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=3)
    await queue.put_many([1, 2, 3])
    await queue.resize(1)
    waiting = asyncio.create_task(queue.put(4))
    await in_line(queue, 1)
    for expected in (1, 2):
        async with await queue.get() as item:
            assert item == expected
        assert (await queue.statistics()).puts_waiting == 1
    async with await queue.get() as item:
        assert item == 3
    await waiting
    assert await drain(queue) == [4]


async def test_rule_1_zero_is_unbounded(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=0)
    await queue.put_many(range(3000))
    assert await queue.qsize() == 3000


async def test_rule_2_first_come_first_served_across_processes(session: Session, url: str, name: str) -> None:
    async with Session.open(url) as other:
        mine, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
        await mine.put(0)
        puts = []
        for number in range(1, 9):
            queue = mine if number % 2 else theirs
            puts.append(asyncio.create_task(queue.put(number)))
            await in_line(mine, number)
        assert await take(mine, 9) == list(range(9))
        await asyncio.gather(*puts)


async def test_rule_2_put_nowait_never_overtakes_the_line(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    await queue.put_many([1, 2])
    waiting = asyncio.create_task(queue.put(3))
    await in_line(queue, 1)
    await queue.resize(2)
    with pytest.raises(QueueFull):
        await queue.put_nowait(4)
    assert await drain(queue) == [1, 2, 3]
    await waiting


async def test_rule_2_a_process_has_a_bounded_number_in_line_and_the_order_is_kept(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [asyncio.create_task(queue.put(number)) for number in range(1, 1501)]
    await in_line(queue, 500)
    assert await take(queue, 1501) == list(range(1501))
    await asyncio.gather(*puts)


async def test_rule_2_one_call_hands_out_more_than_maxsize(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    put = asyncio.create_task(queue.put_many(range(100)))
    await in_line(queue, 98)
    deliveries = await asyncio.gather(*(queue.get() for _ in range(50)))
    assert [delivery.item for delivery in deliveries] == list(range(50))
    for delivery in deliveries:
        await delivery.ack()
    assert await drain(queue) == list(range(50, 100))
    await put


async def test_rule_2_the_entries_of_a_dead_process_are_dropped(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    keys = queue_keys(name)
    # Exactly what a process leaves behind that was killed while it waited: an entry of a session that is over.
    dead, key = b"d" * 12, b"d" * 12 + b"%010d" % 1
    await client.execute_command("HSET", keys["bodies"], key, b"%b.1.500 %b0000000000.0009" % (dead, key))  # type: ignore[no-untyped-call]
    await client.execute_command("RPUSH", keys["putters"], key)  # type: ignore[no-untyped-call]
    waiting = asyncio.create_task(queue.put(2))
    await in_line(queue, 2)
    assert await drain(queue) == [1, 2]
    await waiting
    assert await client.exists(keys["putters"], keys["bodies"]) == 0
    assert (await queue.statistics()).dead == 0


async def test_rule_2_an_owner_that_was_only_stopped_puts_its_entries_again(
    url: str, name: str, session: Session
) -> None:
    async with Session.open(url, ttl=0.4) as stopped:
        queue = Queue(stopped, name, int, maxsize=1)
        await queue.put(0)
        puts = [asyncio.create_task(queue.put(number)) for number in (1, 2, 3)]
        await in_line(queue, 3)
        # As after SIGSTOP: the server has dropped them with the session.
        await inside.give_up_membership(queue)
        other = Queue(session, name, int)
        assert await take(other, 4) == [0, 1, 2, 3]
        await asyncio.gather(*puts)


async def test_rule_2_a_put_after_an_end_of_its_session_that_nobody_noticed_comes_behind_those_before_it(
    url: str, name: str, session: Session, client: Redis
) -> None:
    async with Session.open(url) as stopped:
        queue, other = Queue(stopped, name, int, maxsize=1), Queue(session, name, int)
        await queue.put(0)
        puts = [asyncio.create_task(queue.put(number)) for number in (1, 2, 3)]
        await in_line(queue, 3)
        await inside.end_session(client, stopped, name)
        async with await other.get() as first:  # makes room: what waits for a session that is over is dropped
            assert first == 0
        await in_line(other, 0)
        puts.append(asyncio.create_task(queue.put(4)))
        assert await take(other, 4) == [1, 2, 3, 4]
        await asyncio.gather(*puts)


async def test_a_put_nowait_after_an_end_of_its_session_that_nobody_noticed_is_put(
    url: str, name: str, session: Session, client: Redis
) -> None:
    async with Session.open(url) as stopped:
        queue, other = Queue(stopped, name, int, maxsize=2), Queue(session, name, int)
        await queue.put(1)
        await inside.end_session(client, stopped, name)
        assert await queue.put_nowait(2)
        await inside.end_session(client, stopped, name)
        with pytest.raises(QueueFull):
            await queue.put_nowait(3)
        assert await take(other, 2) == [1, 2]


async def test_rule_3_a_cancelled_put_is_not_in_the_queue(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    cancelled, after = asyncio.create_task(queue.put(2)), asyncio.create_task(queue.put(3))
    await in_line(queue, 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await queue.statistics()).puts_waiting == 1
    assert await drain(queue) == [1, 3]
    await after


async def test_rule_3_put_many_cancelled_half_way_says_how_many_went_in(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=7)
    put = asyncio.create_task(queue.put_many(range(600)))
    await in_line(queue, 493)
    put.cancel()
    with pytest.raises(asyncio.CancelledError, match="7 messages went in"):
        await put
    assert await drain(queue) == list(range(7))


async def test_rule_3_a_timeout_around_put_is_a_timeout_error(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.put(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.put_many([3, 4])
    assert await drain(queue) == [1]


async def test_rule_4_a_repeated_put_is_answered_and_has_one_effect(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    await queue.put(0)
    ours, owner = inside.session_id_at(queue), inside.owner_at(queue)
    entries = [b"%b%010d0000000000.000%d" % (owner.encode(), 90 + at, at) for at in (1, 2, 3)]
    arguments: tuple[bytes | str | int, ...] = (ours, 1000, 1, 0, 0, "", b"", b"", *entries)
    first = await inside.ask_at(queue, "put", *arguments)
    again = await inside.ask_at(queue, "put", *arguments)
    assert first[2] == again[2] == [b"a", 1, b"q", 2]
    late = await inside.ask_at(queue, "put", ours, 999, 1, 0, 0, "", b"", b"", entries[0])
    assert late == [b"late"]
    statistics = await queue.statistics()
    assert (statistics.pending, statistics.puts_waiting) == (2, 2)


async def test_rule_5_a_known_id_is_no_new_message(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    assert await queue.put(1, id="one") is True
    assert await queue.put(1, id="one") is False
    assert await queue.put_nowait(1, id="one") is False
    assert await queue.put_nowait(7) is True
    with pytest.raises(IdConflict):
        await queue.put(2, id="one")
    async with await queue.get() as item:
        assert item == 1
    assert await queue.put(1, id="one") is False  # known still, though it is done with
    assert await drain(queue) == [7]


async def test_rule_5_ids_are_recorded_at_admission(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    cancelled = asyncio.create_task(queue.put(1, id="one"))
    await in_line(queue, 1)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    again = asyncio.create_task(queue.put(1, id="one"))
    await in_line(queue, 1)
    assert await drain(queue) == [0, 1]
    assert await again is True


async def test_rule_5_two_in_line_under_one_id_are_one_message_or_a_conflict(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [asyncio.create_task(queue.put(item, id="one")) for item in (1, 1, 2)]
    await in_line(queue, 3)
    assert await take(queue, 2) == [0, 1]
    async with asyncio.timeout(40):
        results = await asyncio.gather(*puts, return_exceptions=True)
    assert results[:2] == [True, False]
    assert isinstance(results[2], IdConflict)
    assert await queue.qsize() == 0


async def test_rule_5_an_id_is_forgotten_after_its_time(session: Session, name: str) -> None:
    queue = Queue(session, name, int, known_for=0.05)
    await queue.put(1, id="one")

    async def put_again() -> int:
        await queue.put(1, id="one")
        return await queue.qsize()

    assert await until(put_again, lambda size: size > 1) == 2


async def test_rule_5_a_forgotten_id_is_that_of_a_new_message(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    assert await theirs.forget("one") is False
    await queue.put(1, id="one")
    assert await theirs.forget("one") is True
    assert await theirs.forget("one") is False
    assert await queue.put(2, id="one") is True
    assert await drain(queue) == [1, 2]
    with pytest.raises(IdConflict):
        await queue.put(1, id="one")
    with pytest.raises(ValueError, match="an id is"):
        await queue.forget("")


async def test_rule_5_of_a_put_in_line_there_is_nothing_to_forget(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    put = asyncio.create_task(queue.put(1, id="one"))
    await in_line(queue, 1)
    assert await queue.forget("one") is False
    assert await drain(queue) == [0, 1]
    assert await put is True
    assert await queue.put(1, id="one") is False


async def test_rule_5_forgetting_that_is_repeated_spares_what_was_put_since(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, id="one")
    arguments = (inside.session_id_of(session, name), 7, "one")
    assert await inside.ask_at(queue, "forget", *arguments) == [1]
    assert await queue.put(2, id="one") is True
    # The answer was lost, and the call came again; or it came late.
    assert await inside.ask_at(queue, "forget", *arguments) == [1]
    assert await inside.ask_at(queue, "forget", arguments[0], 6, "one") == [0]
    assert await queue.put(2, id="one") is False


async def test_rule_5_an_id_that_was_forgotten_is_free_for_a_submission(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    first = await queue.submit(1, id="one")
    assert await queue.forget("one") is True
    second = await queue.submit(2, id="one")
    for _ in range(2):
        delivery = await queue.get()
        await delivery.ack(result=delivery.item * 10)
    assert [await first, await second] == [10, 20]


async def test_rule_5_expired_ids_go_by_and_by(session: Session, name: str, client: Redis) -> None:
    ids, due = f"{{{name}}}:ids", f"{{{name}}}:ids:due"
    queue = Queue(session, name, int, known_for=0.001)
    for number in range(30):
        await queue.put(number, id=f"n{number}")
    expired = {f"old{number}": "1 digest" for number in range(100)}
    await client.execute_command("HSET", ids, *itertools.chain(*expired.items()))  # type: ignore[no-untyped-call]
    await client.zadd(due, dict.fromkeys(expired, 1))
    before = await client.zcard(due)
    assert await queue.forget("old50") is False
    assert before - 11 <= await client.zcard(due) <= before - 10
    for _ in range(14):
        await queue.forget("none")
    assert (await client.zcard(due), await client.execute_command("HLEN", ids)) == (0, 0)  # type: ignore[no-untyped-call]


async def test_rule_14_a_put_refused_for_memory_waits_and_draining_goes_on(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue = Queue(session, name, int)
        await queue.put(1)
        await client.config_set("maxmemory", 1)
        waiting = asyncio.create_task(queue.put(2))
        with pytest.raises(QueueFull, match="memory"):
            await queue.put_nowait(3)
        assert await drain(queue) == [1]
        assert not waiting.done()
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(5):
            await waiting
        assert await drain(queue) == [2]


async def test_rule_14_puts_refused_for_memory_keep_their_order(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue = Queue(session, name, int)
        await queue.put(0)
        await client.config_set("maxmemory", 1)
        waiting = asyncio.create_task(queue.put_many(range(1, 6)))
        puts = inside.put_lane_of(session, name)
        await until(lambda: asyncio.sleep(0, inside.waits_for_memory(puts)), bool)
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(30):
            await waiting
        assert await drain(queue) == [0, 1, 2, 3, 4, 5]


class Reading(BaseModel):
    value: float | None


class Forgetful(BaseModel):
    secret: Annotated[str, PlainSerializer(lambda _: "***")]


async def test_rule_15_what_would_not_come_back_is_refused_before_the_network(session: Session, name: str) -> None:
    readings = Queue(session, name, Reading, max_message_bytes=100)
    await readings.put(Reading(value=1.5))
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="come back"):
            await readings.put(Reading(value=value))
    forgetful = Queue(session, name, Forgetful)
    with pytest.raises(ValueError, match="come back"):
        await forgetful.put(Forgetful(secret="pass"))
    with pytest.raises(TypeError):
        await readings.put(Forgetful(secret="pass"))  # type: ignore[arg-type]
    texts = Queue(session, name, str, max_message_bytes=100)
    with pytest.raises(MessageTooLarge):
        await texts.put("x" * 99)
    assert await readings.qsize() == 1


async def test_put_many_puts_what_came_before_a_refused_item_and_says_how_many(session: Session, name: str) -> None:
    queue = Queue(session, name, int)

    def items() -> Iterator[int]:
        yield from range(300)
        raise LookupError("no more")

    for source, error in ((items(), LookupError), ([*range(300), "seven", 301], ValueError)):
        with pytest.raises(error) as caught:
            await queue.put_many(source)
        assert caught.value.__notes__ == ["put_many: 300 messages went in"]
        assert await drain(queue) == list(range(300))


async def test_rule_14_a_put_in_line_is_withdrawn_though_memory_is_full(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue = Queue(session, name, int, maxsize=1)
        await queue.put(1)
        in_line_already, unsent = asyncio.create_task(queue.put(2)), None
        await in_line(queue, 1)
        await client.config_set("maxmemory", 1)
        unsent = asyncio.create_task(queue.put(3))
        with pytest.raises(QueueFull, match="memory"):
            await queue.put_nowait(4)
        for put in (in_line_already, unsent):
            put.cancel()
            with pytest.raises(asyncio.CancelledError):
                await put
        assert (await queue.statistics()).puts_waiting == 0
        await client.config_set("maxmemory", 0)
        assert await drain(queue) == [1]
