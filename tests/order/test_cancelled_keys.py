"""Messages with a key are cancelled wherever they are, and the next of their key goes (rules 19 and 30)."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Cancellation, MessageCancelled, Queue, QueueEmpty, Session
from tests.instruments.cancelling import at_rest as no_marks
from tests.instruments.emptying import drain
from tests.instruments.waiting import until
from tests.order.watching import at_rest, lengths, take

pytestmark = pytest.mark.timeout(180)


async def fill(queue: Queue[int], count: int) -> None:
    """Put `count` messages of one key, each with an id."""
    for item in range(count):
        await queue.put(item, key="k", id=f"id-{item}")


@pytest.mark.parametrize("which", [0, 1, 2, 3])
async def test_wherever_it_stands_in_its_key_the_others_go_in_order(
    session: Session, name: str, client: Redis, which: int
) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 4)
    assert await queue.cancel(f"id-{which}", timeout=0) is Cancellation.ASKED
    assert await drain(queue) == [item for item in range(4) if item != which]
    assert await queue.cancel(f"id-{which}", timeout=10) is not Cancellation.UNKNOWN
    assert (await queue.statistics()).cancelled_total == 1
    await at_rest(queue)
    await no_marks(client, name)


async def test_all_of_a_key_are_cancelled_and_it_is_free_again(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 50)
    for item in range(50):
        await queue.cancel(f"id-{item}", timeout=0)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await until(queue.statistics, lambda seen: seen.pending + seen.behind_keys == 0)
    await queue.put(100, key="k")
    assert await drain(queue) == [100]
    await at_rest(queue)
    await no_marks(client, name)


async def test_in_hands_the_next_one_goes_when_it_has_ended(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 2)
    held = await take(queue)
    stopping = asyncio.create_task(queue.cancel("id-0", timeout=10))
    with pytest.raises(MessageCancelled):
        async with held:
            await asyncio.Event().wait()
    assert await stopping is Cancellation.STOPPED
    assert await drain(queue) == [1]
    await at_rest(queue)
    await no_marks(client, name)


async def test_one_that_let_others_pass_does_not_come_again(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 3)
    await (await take(queue)).nack(hold_key=False)
    assert await queue.cancel("id-0", timeout=0) is Cancellation.ASKED
    assert await drain(queue) == [1, 2]
    await at_rest(queue)
    await no_marks(client, name)


async def test_a_put_that_waits_for_its_key_is_taken_out(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(other, name, int)
    await fill(queue, 2)
    waiting = asyncio.create_task(theirs.put(2, key="k", id="id-2"))
    later = asyncio.create_task(theirs.put(3, key="k", id="id-3"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    assert await queue.cancel("id-2") is Cancellation.REMOVED
    with pytest.raises(MessageCancelled):
        await waiting
    assert await drain(queue) == [0, 1, 3]
    await later
    await at_rest(queue)
    await no_marks(client, name)


async def test_one_that_waits_for_its_key_is_let_in_by_the_call_that_drops_another(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(other, name, int)
    await fill(queue, 2)
    waiting = asyncio.create_task(theirs.put(2, key="k"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await queue.cancel("id-0", timeout=0)
    async with await queue.get_nowait() as item:
        assert item == 1
        assert "line:own" not in await lengths(queue)
    await waiting
    assert await drain(queue) == [2]
    await at_rest(queue)
    await no_marks(client, name)


async def test_a_shutdown_at_once_makes_dead_letters_of_the_others(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 4)
    for item in (0, 2):
        await queue.cancel(f"id-{item}", timeout=0)
    await queue.shutdown(immediate=True)
    await queue.join()
    seen = await queue.statistics()
    assert (seen.dead, seen.cancelled_total) == (2, 2)
    await at_rest(queue)
    await no_marks(client, name)


async def test_who_let_the_cancelled_one_pass_comes_again(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await fill(queue, 2)
    await (await take(queue)).nack(hold_key=False)
    assert await queue.cancel("id-1", timeout=0) is Cancellation.ASKED
    async with await take(queue) as item:
        assert item == 0
    await at_rest(queue)
    await no_marks(client, name)
