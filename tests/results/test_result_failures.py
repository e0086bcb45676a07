"""What the submitter hears of a message that fails, dies, or is given up by those who handle it."""

import asyncio
import contextlib
from typing import NoReturn

import pytest
from redis.asyncio import Redis

from consumer.outcomes import Reject, Retry
from consumer.rules.rules import Rules
from shared.concurrency import (
    ConcurrencyError,
    Delivery,
    InvalidResult,
    Queue,
    QueueEmpty,
    QueueShutDown,
    RemoteError,
    Session,
)
from tests.instruments import inside
from tests.instruments.answering import kept
from tests.instruments.census import take_census
from tests.instruments.waiting import until
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(180)


def fail() -> NoReturn:
    raise LookupError("no such user")


async def test_a_failure_comes_back_with_its_traceback_once_the_attempts_are_spent(
    session: Session, name: str, there: Queue[int]
) -> None:
    queue = Queue(session, name, int, max_attempts=2)
    attempts: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        attempts.append(delivery.attempt)
        if delivery.item == 1:
            raise Reject("unwanted") from KeyError("why")
        if delivery.item == 2:
            raise Retry(after=0) from KeyError("not yet")
        fail()

    async with asyncio.timeout(40), working(there, handle, rules={int: Rules(attempts=1)}):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(0))
        assert (raised.value.reason, raised.value.error) == ("failed", "LookupError: no such user")
        assert "in fail" in raised.value.traceback
        assert "in fail" in raised.value.__notes__[0]
        assert str(raised.value) == "failed: LookupError: no such user"
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(1))
        assert (raised.value.reason, raised.value.error) == ("unwanted", "KeyError: 'why'")
    attempts.clear()
    async with asyncio.timeout(40), working(there, handle):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(2))
    assert (raised.value.reason, raised.value.error) == ("failed", "KeyError: 'not yet'")
    assert attempts == [1, 2]


async def test_a_traceback_is_cut_and_may_hold_anything(queue: Queue[int], there: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        raise ValueError("\ud800" + "x" * 10_000)

    async with asyncio.timeout(40), working(there, handle, rules={int: Rules(attempts=1)}):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(0))
    assert len(raised.value.traceback) == 8192
    assert len(raised.value.error) <= 1100


async def test_a_failing_block_answers_too(session: Session, name: str, there: Queue[int]) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    future = await queue.submit(1)
    with pytest.raises(LookupError):
        async with await there.get():
            fail()
    with pytest.raises(RemoteError, match=r"^failed: LookupError: no such user") as raised:
        await future
    assert "in fail" in raised.value.traceback


async def test_whatever_makes_a_dead_letter_answers(
    session: Session, name: str, there: Queue[int], client: Redis
) -> None:
    queue = Queue(session, name, int)
    future = await queue.submit(1)
    await (await there.get()).dead_letter("by hand")
    with pytest.raises(RemoteError, match=r"^by hand$"):
        await future
    # What cannot be read.
    future = await queue.submit(2)
    (entry,) = await client.lrange(f"{{{name}}}:pending", 0, -1)  # type: ignore[misc]
    await client.lset(f"{{{name}}}:pending", 0, entry[:-1] + b'"two"')  # type: ignore[misc]
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    with pytest.raises(RemoteError, match=r"^invalid: "):
        await future
    # A shutdown at once.
    futures = [await queue.submit(number) for number in range(3)]
    await there.shutdown(immediate=True)
    for future in futures:
        with pytest.raises(RemoteError, match=r"^shutdown: "):
            await future
    with pytest.raises(QueueShutDown):
        _ = await queue.submit(9)
    (await take_census(client, name)).check()


async def test_the_fifth_crash_answers(session: Session, url: str, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    future = await queue.submit(1)
    for _ in range(5):
        async with Session.open(url) as doomed:
            held = await Queue(doomed, name, int).get()
            await inside.end_session(client, doomed, name)
            # Whoever takes recovers.
            with contextlib.suppress(QueueEmpty):
                await queue.get_nowait()
            await until(queue.statistics, lambda statistics: statistics.leased == 0)
            assert held.item == 1
    with pytest.raises(RemoteError, match=r"^crashed: its consumer ended"):
        await future


async def test_a_replayed_message_answers_nobody(session: Session, name: str, there: Queue[int], client: Redis) -> None:
    queue = Queue(session, name, int)
    future = await queue.submit(1)
    await (await there.get()).dead_letter("first")
    with pytest.raises(RemoteError, match="first"):
        await future
    assert await queue.replay() == 1
    await (await there.get()).ack(result=2)
    await queue.statistics()
    assert future.exception() is not None
    assert await kept(client, name) <= 2  # until it expires


async def test_closing_the_session_ends_the_waiting(url: str, name: str, there: Queue[int]) -> None:
    async with Session.open(url) as session:
        future = await Queue(session, name, int).submit(1)
    with pytest.raises(ConcurrencyError, match="closed"):
        await future
    with pytest.raises(ConcurrencyError, match="closed"):
        _ = await Queue(session, name, int).submit(1)
    # It is handled all the same.
    async with await there.get_nowait() as item:
        assert item == 1


@pytest.mark.parametrize("outcome", [b"!" + b"[" * 60_000, b"!{}", b"!", b"=" + b"[" * 60_000, b"?"])
async def test_what_is_no_outcome_ends_the_future_all_the_same(
    queue: Queue[int], there: Queue[int], outcome: bytes
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    answer = await inside.ask_at(
        there, "settle_and_take", inside.session_id_at(there), 100, 100, 1, b"", b"", 0, b"", b"", 0, 0, 0,
        inside.receipt_of(delivery), "result", outcome,
    )  # fmt: skip
    assert answer[0] == b"ok"
    inside.forget(there, delivery)
    async with asyncio.timeout(10):
        with pytest.raises(InvalidResult):
            await future
