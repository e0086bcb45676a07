"""The settings that are stored with a queue are changed while it is in use, by `resize`."""

import logging

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.instruments import inside
from tests.instruments.inside import ask_at, session_id_at


async def fail(queue: Queue[int], times: int) -> None:
    for _ in range(times):
        await (await queue.get()).nack()


async def test_what_is_left_out_stays_and_others_take_what_is_stored(
    session: Session, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(session, name, int, maxsize=3, max_attempts=2, max_crashes=4, max_dead=5, dead_for=60)
    await queue.statistics()
    await queue.resize(max_attempts=7)
    seen = await queue.statistics()
    assert (seen.maxsize, seen.max_attempts, seen.max_crashes, seen.max_dead, seen.dead_for) == (3, 7, 4, 5, 60.0)
    await queue.resize(9, max_crashes=None, max_dead=None, dead_for=None)
    # Who says otherwise where it makes the queue is told, and changes nothing.
    caplog.set_level(logging.WARNING)
    seen = await Queue(other, name, int, max_attempts=2, max_dead=5).statistics()
    assert (seen.maxsize, seen.max_attempts, seen.max_crashes, seen.max_dead, seen.dead_for) == (9, 7, None, None, None)
    assert caplog.text.count("the queue keeps the setting that it has") == 2


async def test_another_number_of_attempts_holds_in_every_process(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int, max_attempts=1), Queue(other, name, int)
    await theirs.statistics()
    await queue.resize(max_attempts=3)
    await queue.put(1)
    await fail(theirs, 2)
    assert (await queue.statistics()).dead == 0
    await theirs.resize(max_attempts=2)
    await fail(queue, 1)
    assert (await queue.statistics()).dead == 1


async def test_another_number_of_crashes_holds_for_the_next(
    client: Redis, session: Session, other: Session, name: str
) -> None:
    queue, dying = Queue(session, name, int, max_crashes=1), Queue(other, name, int)
    await queue.resize(max_crashes=None)
    await queue.put(1)
    for _ in range(6):
        held = await dying.get()
        await inside.crash(client, session, name, other)
        assert inside.is_lost(held)
    assert (await queue.statistics()).dead == 0
    await queue.resize(max_crashes=2)
    held = await dying.get()
    await inside.crash(client, session, name, other)
    assert inside.is_lost(held)
    assert (await queue.statistics()).dead == 1


async def test_a_bound_of_dead_letters_is_changed_and_taken_away(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1, max_dead=3)
    await queue.put_many(range(5))
    await fail(queue, 5)
    await queue.resize(max_dead=None)
    await queue.put_many(range(5))
    await fail(queue, 5)
    await ask_at(queue, "renew", session_id_at(queue))
    assert (await queue.statistics()).dead == 8
    await queue.resize(max_dead=2)
    await ask_at(queue, "renew", session_id_at(queue))
    seen = await queue.statistics()
    assert (seen.dead, seen.max_dead, seen.discarded_total) == (2, 2, 8)
