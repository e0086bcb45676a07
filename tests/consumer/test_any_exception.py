"""Whatever a handler or a validator raises is a failure of its message; what a worker ends with is a crash."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel, field_validator
from redis.asyncio import Redis

from consumer.executors.threads import Threads
from consumer.outcomes import Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, InvalidResult, Queue, RemoteError, Session
from tests.instruments import inside
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(180)


class PanicException(BaseException):
    """As extensions in Rust raise it."""


ANY = [PanicException, KeyboardInterrupt, GeneratorExit, SystemExit, asyncio.CancelledError, BaseException]


@pytest.mark.parametrize("kind", ANY)
@pytest.mark.parametrize("place", ["loop", "later", "thread"])
async def test_what_a_handler_raises_is_a_failure_of_its_message(
    session: Session, name: str, kind: type[BaseException], place: str
) -> None:
    threads = Threads()

    def fail() -> None:
        raise kind("of its own")

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 0:
            if place == "thread":
                await threads.run(fail)
            if place == "later":
                await asyncio.sleep(0)
            fail()

    queue = Queue(session, name, int, max_attempts=2)
    await queue.put_many(range(20))
    rules = {int: Rules(backoff=Backoff(first=0))}
    async with working(queue, handle, concurrency=2, rules=rules) as worker, asyncio.timeout(40):
        await queue.join()
        assert worker.handled == 19
    threads.close()
    (letter,) = await queue.dead_letters()
    assert (letter.body, letter.reason, letter.failures) == (b"0", "failed", 2)
    assert letter.error == f"{kind.__name__}: of its own"


@pytest.mark.parametrize("kind", ANY)
async def test_what_leaves_a_block_is_a_failure(queue: Queue[int], kind: type[BaseException]) -> None:
    await queue.put(1)
    with pytest.raises(kind):
        async with await queue.get():
            raise kind("of its own")
    delivery = await queue.get()
    assert (delivery.failures, delivery.last_error) == (1, f"{kind.__name__}: of its own")
    await delivery.ack()


class Mute(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise PanicException


async def test_an_error_without_a_text_is_told_by_its_name(queue: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        raise Mute

    await queue.put(1)
    with pytest.raises(Mute):
        async with await queue.get():
            raise Mute
    async with working(queue, handle, rules={int: Rules(attempts=2)}), asyncio.timeout(40):
        await queue.join()
    (letter,) = await queue.dead_letters()
    assert letter.first_error == "Mute: (its text cannot be read)"


class Vague(Retry):
    """Does not begin as Retry does."""

    def __init__(self) -> None:
        self.after = "soon"  # type: ignore[assignment]


async def test_a_retry_that_says_nothing_usable_is_a_failure(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 1:
            raise Vague

    await queue.put_many([1, 2])
    async with working(queue, handle, rules={int: Rules(attempts=1)}) as worker, asyncio.timeout(40):
        await queue.join()
        assert worker.handled == 1
    (letter,) = await queue.dead_letters()
    assert letter.body == b"1"


class Fussy(BaseModel):
    """Has code of its own, which fails where a message is read."""

    number: int
    kind: str = ""

    @field_validator("kind")
    @classmethod
    def _look(cls, kind: str) -> str:
        for each in ANY:
            if kind == each.__name__:
                raise each("from the validator")
        return kind


@pytest.fixture
async def fussy(session: Session, name: str, client: Redis) -> Queue[Fussy]:
    """A queue with one message of each kind that cannot be read, between two that can."""
    queue = Queue(session, name, Fussy)
    for number, kind in enumerate(ANY):
        await queue.put(Fussy(number=number, kind=f"?{kind.__name__[1:]}"))
    pending = f"{{{name}}}:pending"
    for at, kind in enumerate(ANY):
        entry = await client.lindex(pending, at)  # type: ignore[misc]
        await client.lset(pending, at, entry.replace(f"?{kind.__name__[1:]}".encode(), kind.__name__.encode()))  # type: ignore[misc]
    await queue.put(Fussy(number=99))
    return queue


async def test_what_a_validator_raises_is_a_dead_letter(fussy: Queue[Fussy]) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery[Fussy]) -> None:
        handled.append(delivery.item.number)

    async with working(fussy, handle), asyncio.timeout(40):
        await fussy.join()
    assert handled == [99]
    letters = {(letter.reason, letter.error) for letter in await fussy.dead_letters()}
    assert letters == {("invalid", f"{kind.__name__}: from the validator") for kind in ANY}


async def test_a_get_passes_over_what_a_validator_raises(fussy: Queue[Fussy]) -> None:
    async with asyncio.timeout(40), await fussy.get() as item:
        assert item.number == 99
    assert (await fussy.statistics()).dead == len(ANY)


@pytest.mark.parametrize("kind", ANY)
async def test_what_the_type_of_a_result_raises_fails_it_once(
    session: Session, other: Session, name: str, kind: type[BaseException]
) -> None:
    queue, there = (Queue(each, name, int, result=Fussy) for each in (session, other))

    async def handle(delivery: Delivery[int]) -> Fussy:
        return Fussy.model_construct(number=delivery.item, kind=kind.__name__ if delivery.item == 1 else "")

    future, good = await queue.submit(1), await queue.submit(2)
    async with working(there, handle), asyncio.timeout(40):
        with pytest.raises(RemoteError, match=f"^invalid_result: .*{kind.__name__}: from the validator"):
            await future
        assert (await good).number == 2
    assert (await queue.statistics()).nacked_total == 0


async def test_a_result_that_its_submitter_cannot_read_fails_that_future_alone(
    session: Session, other: Session, name: str
) -> None:
    queue = Queue(session, name, int, result=Fussy)

    async def handle(delivery: Delivery[int]) -> dict[str, object]:
        return {"number": delivery.item, "kind": "PanicException" if delivery.item == 1 else ""}

    future, good = await queue.submit(1), await queue.submit(2)
    async with working(Queue(other, name, int), handle), asyncio.timeout(40):
        with pytest.raises(InvalidResult, match="PanicException: from the validator"):
            await future
        assert (await good).number == 2


# --- the end of a worker ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def two_handled(queue: Queue[int]) -> AsyncIterator["asyncio.Task[None]"]:
    """A worker of three that handles two messages for ever, until the block ends it."""
    begun = asyncio.Event()

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 2:
            begun.set()
        await asyncio.Event().wait()

    await queue.put_many([1, 2])
    running = asyncio.create_task(Worker(queue, handle, concurrency=3).run())
    await begun.wait()
    yield running
    assert running.done()


@contextlib.asynccontextmanager
async def spoilt(client: Redis, name: str) -> AsyncIterator[None]:
    """Have takes meet something that no queue of ours wrote, and fail over it; settlements go on."""
    totals, pending = f"{{{name}}}:totals", f"{{{name}}}:pending"
    async with client.pipeline() as both:
        both.hset(totals, "unreadable", "spoilt")
        both.lpush(pending, "junk")
        await both.execute()
    yield
    async with client.pipeline() as both:
        both.hdel(totals, "unreadable")
        both.lrem(pending, 1, "junk")
        await both.execute()


async def counted(queue: Queue[int], messages: int = 2) -> list[tuple[int, int, int]]:
    """Of each message its number, its crashes and its failures."""
    found = []
    while (await queue.statistics()).acked_total < messages:
        delivery = await queue.get()
        found.append((delivery.item, int(inside.receipt_of(delivery)[38:39]), delivery.failures))
        await delivery.ack()
    return sorted(found)


async def test_what_is_handled_when_a_worker_ends_by_an_error_has_crashed(
    queue: Queue[int], name: str, client: Redis
) -> None:
    async with asyncio.timeout(40), two_handled(queue) as running, spoilt(client, name):
        await queue.put_many([3, 4])
        with pytest.raises(ConcurrencyError, match="not an integer"):
            await running
    assert await counted(queue, 4) == [(1, 1, 0), (2, 1, 0), (3, 0, 0), (4, 0, 0)]


async def test_a_worker_that_ends_by_an_error_again_and_again_makes_a_dead_letter(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int, max_crashes=1)
    async with asyncio.timeout(40), two_handled(queue) as running, spoilt(client, name):
        await queue.put_many([3, 4])
        with pytest.raises(ConcurrencyError, match="not an integer"):
            await running
    letters = await queue.dead_letters()
    assert sorted((letter.body, letter.reason, letter.failures) for letter in letters) == [
        (b"1", "crashed", 0), (b"2", "crashed", 0)
    ]  # fmt: skip
    assert await counted(queue) == [(3, 0, 0), (4, 0, 0)]


async def test_a_worker_that_is_cancelled_gives_back(queue: Queue[int]) -> None:
    async with asyncio.timeout(40), two_handled(queue) as running:
        running.cancel()
        await asyncio.wait({running})
    assert await counted(queue) == [(1, 0, 0), (2, 0, 0)]


@pytest.mark.parametrize("order", [1, -1])
async def test_what_is_handled_when_everything_is_cancelled_counts(queue: Queue[int], order: int) -> None:
    # As a runner of asyncio does when something else has ended the loop.
    async with asyncio.timeout(40), two_handled(queue) as running:
        workers = [task for task in asyncio.all_tasks() if task.get_name().startswith("worker-")]
        for task in [running, *workers][::order]:
            task.cancel()
        await asyncio.wait({running})
    assert [crashes + failures for _, crashes, failures in await counted(queue)] == [1, 1]


async def test_a_handler_that_cancels_its_own_task_fails(queue: Queue[int]) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 0:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await asyncio.sleep(0)

    await queue.put_many(range(5))
    async with working(queue, handle, concurrency=1, rules={int: Rules(attempts=1)}) as worker, asyncio.timeout(40):
        await queue.join()
        assert worker.handled == 4
    (letter,) = await queue.dead_letters()
    assert (letter.body, letter.error) == (b"0", "CancelledError")
