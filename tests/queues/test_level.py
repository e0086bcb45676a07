"""The protocol level of a queue (rule 16): who is below it changes nothing there, and says so once."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import EffectRefused, Queue, QueueEmpty, ServerRefused, Session, StaleDelivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.membership.keys import queue_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.levels import FORCED
from tests.instruments.waiting import until

plain_set = pytest.mark.skipif(FORCED in os.environ, reason="every queue of this run has a level")
NEWER = "used by a newer Weir: upgrade this process"


def settings_of(name: str) -> str:
    return queue_keys(name)["settings"].decode()


async def need(client: Redis, name: str, level: int) -> None:
    """Have a queue need this level, as a process that puts what is of that level does."""
    setting: Any = client.hset(settings_of(name), "flow", str(level))
    await setting


async def stored(client: Redis, name: str) -> bytes | None:
    """The level that is stored with a queue."""
    asked: Any = client.hget(settings_of(name), "flow")
    found: bytes | None = await asked
    return found


async def everything(client: Redis, name: str) -> dict[str, bytes]:
    """All that is stored of a queue, but for who waits and what the last calls were."""
    apart = {queue_keys(name)[word] for word in ("idle", "sessions", "lanes")}
    return {key: await client.dump(key) for key in sorted(await client.keys(f"{{{name}}}:*")) if key not in apart}


@plain_set
async def test_a_queue_has_no_level_until_somebody_needs_one(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    assert await stored(client, name) is None
    assert inside.member_of(session, name).level.needed == 0
    inside.member_of(session, name).need_level(1)
    await queue.put(2)
    assert await stored(client, name) == b"1"
    assert inside.member_of(session, name).level.needed == 1


async def test_a_registration_never_lowers_a_level(session: Session, name: str, client: Redis) -> None:
    await need(client, name, 7)
    queue = Queue(session, name, int)
    inside.member_of(session, name).need_level(1)
    await queue.statistics()
    assert await stored(client, name) == b"7"


@plain_set
async def test_whoever_raises_it_has_those_who_are_idle_look_again(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    getting = asyncio.create_task(queue.get())

    async def idle() -> bool:
        return inside.is_idle(session, name)

    await until(idle, bool)
    who_is_idle, gone = queue_keys(name)["idle"].decode(), "nobodynobody.1.10000"
    await client.zadd(who_is_idle, {gone: 1})
    inside.member_of(other, name).need_level(1)
    await Queue(other, name, int).statistics()
    assert await client.zscore(who_is_idle, gone) is None
    await until(lambda: _level_of(session, name), lambda level: level == 1)
    await Queue(other, name, int).put(5)
    async with await getting as item:
        assert item == 5


async def _level_of(session: Session, name: str) -> int:
    return inside.member_of(session, name).level.needed


async def _sessions_of(session: Session, name: str) -> int:
    return inside.member_of(session, name).life.ordinal


async def test_a_level_is_learned_by_every_lane_where_it_calls_next(session: Session, name: str, client: Redis) -> None:
    """Each goes over to the other set by itself, and its call has its effect once."""
    acts: dict[str, Callable[[Queue[int]], Awaitable[object]]] = {
        "put": lambda queue: queue.put(2),
        "take": _acknowledge,
        "operation": lambda queue: queue.pause(),
        "question": lambda queue: queue.statistics(),
        "effects": _acknowledge_with_effects,
    }
    for word, act in acts.items():
        queue = Queue(session, f"{name}-{word}", int)
        await queue.put(1)
        await need(client, queue.name, 1)
        await act(queue)
        assert inside.member_at(queue).level.needed == 1, word
    await Queue(session, f"{name}-take", int).put(3)
    counts = [await Queue(session, f"{name}-{word}", int).statistics() for word in acts]
    assert [each.put_total for each in counts] == [2, 2, 1, 1, 2]
    assert [each.acked_total for each in counts] == [0, 1, 0, 0, 1]
    assert [each.is_paused for each in counts] == [False, False, True, False, False]


async def _acknowledge(queue: Queue[int]) -> None:
    async with await queue.get() as item:
        assert item == 1


async def _acknowledge_with_effects(queue: Queue[int]) -> None:
    delivery = await queue.get()
    delivery.effects.put(queue, 2)
    await delivery.ack()


@plain_set
async def test_a_put_that_travels_goes_again_with_the_keys_of_its_queue(
    session: Session, name: str, client: Redis
) -> None:
    """The queue that is put to has just got a level: refused with nothing written, and again with its keys."""
    queue, further = Queue(session, name, int), Queue(session, f"{name}-further", int)
    await queue.put_many([1, 2, 3])
    await further.statistics()
    held = [await queue.get() for _ in range(3)]
    await need(client, further.name, 1)
    for delivery in held:
        delivery.effects.put(further, delivery.item)
        delivery.effects.incrby(f"{{{name}}}:sum", delivery.item)
    await asyncio.gather(*(delivery.ack() for delivery in held))
    assert await client.get(f"{{{name}}}:sum") == b"6"
    for expected in (1, 2, 3):
        async with await further.get() as item:
            assert item == expected
    assert inside.member_at(further).level.needed == 1
    assert inside.member_at(queue).level.needed == 0


async def test_a_call_that_is_repeated_over_the_change_is_answered_as_before(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    entry = inside.put_lane_of(session, name).numbering.entry(b"0000000000.000", b"2").packed
    words = (inside.session_id_at(queue), 2, 1, 0, 0, "", b"", b"", entry)
    first = await inside.ask_at(queue, "put", *words)
    await need(client, name, 1)
    await queue.pause()  # it learns the level
    second = await inside.ask_at(queue, "put", *words)
    assert (first[0], first[2:4]) == (second[0], second[2:4]) == (b"ok", [[b"a", 1], 0])
    assert (await queue.statistics()).put_total == 2


# --- of a newer program -----------------------------------------------------------------------------------------


async def test_puts_into_a_newer_queue_are_refused_and_change_nothing(
    session: Session, name: str, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    await need(client, name, 2)
    before = await everything(client, name)
    for put in (queue.put(2), queue.put_nowait(2), queue.put_many([2, 3])):
        with pytest.raises(ServerRefused, match=NEWER):
            await put
    assert await everything(client, name) == before
    assert len([record for record in caplog.records if "newer Weir" in record.message]) == 1


async def test_a_put_that_waits_there_is_withdrawn_as_ever(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    waiting = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await need(client, name, 2)
    with pytest.raises(ServerRefused, match=NEWER):
        await queue.put(3)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    seen = await queue.statistics()
    assert (seen.pending, seen.puts_waiting, seen.put_total) == (1, 0, 1)


async def test_nothing_is_taken_from_a_newer_queue_and_what_is_held_is_settled(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int, max_attempts=2)
    await queue.put_many([1, 2, 3, 4])
    acked, nacked, back = [await queue.get() for _ in range(3)]
    await need(client, name, 2)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await acked.ack()
    await nacked.nack()
    await handout_of(back).settled("return")
    await until(queue.statistics, lambda seen: (seen.leased, seen.delayed) == (0, 2))
    seen = await queue.statistics()
    assert (seen.acked_total, seen.nacked_total, seen.pending) == (1, 1, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.2):  # longer than its next look
            await queue.get()
    assert await client.zcard(queue_keys(name)["idle"]) == 0
    assert inside.session_id_at(queue).encode() in await client.zrange(queue_keys(name)["sessions"], 0, -1)


async def test_effects_on_keys_are_written_there_and_puts_refused(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await queue.put_many([1, 2])
    one, two = await queue.get(), await queue.get()
    await need(client, name, 2)
    one.effects.incrby(f"{{{name}}}:sum", 1)
    await one.ack()
    two.effects.incrby(f"{{{name}}}:sum", 1)
    two.effects.put(queue, 2)
    with pytest.raises(EffectRefused, match=NEWER):
        await two.ack()
    assert await client.get(f"{{{name}}}:sum") == b"1"
    await two.nack()


async def test_nobody_is_recovered_there_by_who_does_not_know_how(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put(1)
    held = await theirs.get()
    await queue.statistics()
    dead = inside.session_id_at(theirs)
    await need(client, name, 2)
    await client.zadd(queue_keys(name)["sessions"], {dead: 1})
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    _, _, _, entries, look_again, overdue, *_ = await inside.take_unheard(queue)
    assert (entries, look_again, overdue) == ([], 5000, b"")
    await inside.member_at(queue).recovery.recover(dead)
    assert (await queue.statistics()).leased == 1
    with pytest.raises(StaleDelivery):
        await held.ack()


OPERATIONS: dict[str, Callable[[Queue[int]], Awaitable[object]]] = {
    "pause": lambda queue: queue.pause(),
    "resume": lambda queue: queue.resume(),
    "resize": lambda queue: queue.resize(5),
    "shutdown": lambda queue: queue.shutdown(),
    "shutdown at once": lambda queue: queue.shutdown(immediate=True),
    "reopen": lambda queue: queue.reopen(),
    "forget": lambda queue: queue.forget("one"),
    "drain": lambda queue: queue.drain(),
    "replay": lambda queue: queue.replay(),
    "discard": lambda queue: queue.discard(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_operation_on_a_newer_queue_is_refused_and_changes_nothing(
    session: Session, name: str, client: Redis, operation: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, id="one")
    await (await queue.get()).dead_letter("why")
    await queue.put(2)
    await need(client, name, 2)
    before = await everything(client, name)
    with pytest.raises(ServerRefused, match=NEWER):
        await OPERATIONS[operation](queue)
    assert await everything(client, name) == before
    assert [letter.reason for letter in await queue.dead_letters()] == ["why"]


async def test_a_queue_that_the_server_has_forgotten_has_no_level(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    await need(client, name, 2)
    with pytest.raises(ServerRefused, match=NEWER):
        await queue.put(2)
    await client.delete(*await client.keys(f"{{{name}}}:*"))
    inside.renew_now(session)
    await until(lambda: _sessions_of(session, name), lambda ordinal: ordinal == 2)
    await queue.put(3)
    async with await queue.get() as item:
        assert item == 3


async def test_a_put_that_has_lost_its_place_there_is_refused_and_leaves_the_line(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    waiting = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await need(client, name, 2)
    inside.member_at(queue).over(inside.session_id_at(queue))
    with pytest.raises(ServerRefused, match=NEWER):
        await waiting
    await until(queue.statistics, lambda seen: seen.puts_waiting == 0)
    assert (await queue.statistics()).put_total == 1


@pytest.mark.parametrize("immediate", [False, True])
async def test_what_waits_there_is_not_let_in_by_who_does_not_know_how(
    session: Session, other: Session, name: str, client: Redis, *, immediate: bool
) -> None:
    """The room that an old process makes is for newer ones to fill; nor does it go on with a shutdown."""
    queue, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
    await queue.put(1)
    held = await queue.get()
    await queue.put(2)
    waiting = [asyncio.create_task(theirs.put(number)) for number in (3, 4)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    await need(client, name, 2)
    room: Any = client.hset(settings_of(name), "maxsize", "5")
    await room
    if immediate:
        setting: Any = client.hset(settings_of(name), "shutdown", "ending")
        await setting
    await held.ack()
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    seen = await queue.statistics()
    assert (seen.pending, seen.puts_waiting, seen.acked_total, seen.dead) == (1, 2, 1, 0)
    for left, each in zip((1, 0), waiting, strict=True):
        each.cancel()
        await asyncio.wait({each})
        seen = await queue.statistics()
        # The answer to the first withdrawal says that the queue is shut down: the other put fails where it was made.
        assert (seen.pending, seen.puts_waiting, seen.dead) == (1, 1 if immediate else left, 0)


async def test_a_level_that_older_data_lack_is_raised_again(durable: EmbeddedServer, name: str) -> None:
    async with Session.open(durable.url) as session, Redis.from_url(durable.url) as client:
        queue = Queue(session, name, int)
        inside.member_of(session, name).need_level(1)
        await queue.put(1)
        removed: Any = client.hdel(settings_of(name), "flow")
        assert await removed == 1
        await asyncio.to_thread(durable.kill)
        await asyncio.to_thread(durable.start)

        async def seen() -> bytes | None:
            await queue.statistics()
            return await stored(client, name)

        await until(seen, lambda level: level == b"1")


async def test_a_put_that_goes_ahead_of_that_stores_the_level(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    inside.member_of(session, name).need_level(1)
    await queue.put(1)
    removed: Any = client.hdel(settings_of(name), "flow")
    assert await removed == 1
    await queue.put(2)
    assert await stored(client, name) == b"1"
