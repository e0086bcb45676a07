"""Results as futures: each message that is submitted is answered once, whatever becomes of it, in the words of asyncio."""

import asyncio
import contextlib
import json
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn, assert_type

import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter, field_validator
from redis.asyncio import Redis

from consumer.executors.dispatch import Handling
from consumer.outcomes import Reject, Retry
from consumer.rules.handler import Handler, Place
from consumer.rules.rules import Rules
from shared.concurrency import (
    ConcurrencyError,
    Delivery,
    IdConflict,
    InvalidResult,
    MessageTooLarge,
    Progress,
    Queue,
    QueueEmpty,
    QueueShutDown,
    RemoteError,
    ResultFuture,
    ResultLost,
    Session,
    StaleDelivery,
)
from shared.concurrency.queues.encoding.entry import FLAG
from shared.concurrency.queues.membership.keys import queue_keys
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.handlers import obey, order
from tests.instruments.inside import is_held
from tests.instruments.messages import Errand
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def far(url: str) -> AsyncIterator[Session]:
    """The session of a consumer."""
    async with Session.open(url) as far:
        yield far


@pytest.fixture
async def there(far: Session, name: str) -> Queue[int]:
    """Where the consumer stands."""
    return Queue(far, name, int)


async def double(delivery: Delivery[int]) -> int:
    return 2 * delivery.item


async def kept(client: Redis, name: str) -> int:
    """How many outcomes lie on the server."""
    keys = queue_keys(name)
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.hlen(keys["results"].decode())
        pipeline.zcard(keys["results_due"])
        count, due = await pipeline.execute()
    assert count == due
    return int(count)


# --- a future as any other --------------------------------------------------------------------------------------------


async def test_a_future_resolves_with_what_the_handler_returned(queue: Queue[int], there: Queue[int]) -> None:
    async with working(there, double):
        future = await queue.submit(21)
        assert asyncio.isfuture(future)
        async with asyncio.timeout(5):
            assert await future == 42
        assert future.result() == 42
        assert len(future.id) == 22


async def test_callbacks_wait_gather_and_as_completed_work_as_everybody_knows_them(
    queue: Queue[int], there: Queue[int]
) -> None:
    heard: list[int] = []
    async with asyncio.timeout(5), working(there, double):
        future = await queue.submit(1)
        future.add_done_callback(lambda done: heard.append(done.result()))
        done, left = await asyncio.wait({future})
        assert (done, left) == ({future}, set())
        assert heard == [2]
        futures = [await queue.submit(number) for number in range(10)]
        assert await asyncio.gather(*futures) == list(range(0, 20, 2))
        futures = [await queue.submit(number) for number in range(10)]
        assert sorted([await each for each in asyncio.as_completed(futures)]) == list(range(0, 20, 2))
        assert await asyncio.wait_for(await queue.submit(5), 5) == 10


async def test_concurrent_submissions_get_each_their_own(queue: Queue[int], there: Queue[int]) -> None:
    async def one(number: int) -> bool:
        future = await queue.submit(number)
        return bool(await future == 2 * number)

    async with asyncio.timeout(20), working(there, double):
        assert all(await asyncio.gather(*(one(number) for number in range(2000))))


async def test_who_takes_by_hand_answers_by_hand(queue: Queue[int], there: Queue[int]) -> None:
    future = await queue.submit(1)
    await (await there.get()).ack(result={"found": [1, None, "x"]})
    assert await future == {"found": [1, None, "x"]}
    future = await queue.submit(2)
    async with await there.get():
        pass
    assert await future is None


async def test_the_result_travels_with_the_effects(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    key = f"{{{queue.name}}}:effects"

    async def handle(delivery: Delivery[int]) -> str:
        delivery.effects.incrby(key, delivery.item)
        return "done"

    async with asyncio.timeout(5), working(there, handle):
        assert await (await queue.submit(3)) == "done"
        assert await client.get(key) == b"3"
    future = await queue.submit(4)
    delivery = await there.get()
    delivery.effects.incrby(key, 4)
    await delivery.ack(result=[1])
    assert (await future, await client.get(key)) == ([1], b"7")
    # What is refused is not answered either.
    future = await queue.submit(5)
    delivery = await there.get()
    delivery.effects.hset(key, "a", 1)
    with pytest.raises(ConcurrencyError, match="holds a string"):
        await delivery.ack(result=1)
    await delivery.dead_letter("unwritable")
    with pytest.raises(RemoteError, match="unwritable"):
        await future


# --- what goes wrong --------------------------------------------------------------------------------------------------


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

    async with asyncio.timeout(10), working(there, handle, rules={int: Rules(attempts=1)}):
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
    async with asyncio.timeout(10), working(there, handle):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(2))
    assert (raised.value.reason, raised.value.error) == ("failed", "KeyError: 'not yet'")
    assert attempts == [1, 2]


async def test_a_traceback_is_cut_and_may_hold_anything(queue: Queue[int], there: Queue[int]) -> None:
    async def handle(_: Delivery[int]) -> None:
        raise ValueError("\ud800" + "x" * 10_000)

    async with asyncio.timeout(10), working(there, handle, rules={int: Rules(attempts=1)}):
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


# --- types ------------------------------------------------------------------------------------------------------------


class Size(BaseModel):
    width: int


@pytest.fixture
def measure() -> Iterator[Any]:
    class Measure(Message[Size]):
        text: str

    yield Measure
    del Message._classes["Measure"]


def test_the_result_type_stands_on_the_message(measure: Any) -> None:
    assert measure.result_type() is Size
    assert "Message[Size]" not in Message.registered()
    assert Message.registered()["Measure"] is measure
    assert measure.model_json_schema()["title"] == "Measure"


async def test_a_declared_result_comes_back_as_itself_and_another_is_refused_by_the_consumer(
    session: Session, far: Session, name: str, measure: Any
) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    there: Queue[Message] = Queue(far, name, Message)

    async def handle(delivery: Delivery[Any]) -> object:
        return Size(width=len(delivery.item.text)) if delivery.item.text else {"width": 0}

    async with asyncio.timeout(5), working(there, handle, rules={measure: Rules(attempts=1)}):
        assert await (await queue.submit(measure(text="abc"))) == Size(width=3)
        with pytest.raises(RemoteError, match=r"^failed: InvalidResult: this dict is no result of Measure"):
            await (await queue.submit(measure(text="")))


async def test_the_type_of_a_queue_counts_on_both_sides(session: Session, far: Session, name: str) -> None:
    numbers, texts = Queue(session, name, int, result=int), Queue(far, name, int, result=str)
    future = await numbers.submit(1)
    delivery = await texts.get()
    with pytest.raises(InvalidResult, match="this int is no result of int"):
        await delivery.ack(result=5)
    assert is_held(delivery)
    await delivery.ack(result="5")
    with pytest.raises(InvalidResult, match="what came is no result of int"):
        await future


@pytest.mark.parametrize(
    "result", [None, True, 0, -1.5, "", "\u2028é", [], {}, [1, [None, {"a": [False]}]], "x" * 70_000]
)
async def test_any_json_value_comes_back_as_it_was(queue: Queue[int], there: Queue[int], result: object) -> None:
    future = await queue.submit(1)
    await (await there.get()).ack(result=result)
    async with asyncio.timeout(5):
        back = await future
    assert back == result
    assert type(back) is type(result)


@pytest.mark.parametrize(
    "result", [math.nan, [math.inf], (1, 2), {1: 2}, b"x", {1}, object(), "\ud800", [{"a": math.nan}]]
)
async def test_what_would_not_come_back_is_refused_and_the_delivery_stays(
    queue: Queue[int], there: Queue[int], result: object
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    with pytest.raises(InvalidResult):
        await delivery.ack(result=result)
    await delivery.ack(result="instead")
    assert await future == "instead"


class Fussy(BaseModel):
    size: int

    @field_validator("size")
    @classmethod
    def _look(cls, size: int) -> int:
        if size > 5:
            raise TypeError("too much")
        return size


async def test_a_type_whose_own_code_raises_anything_ends_neither_the_worker_nor_the_connection(
    session: Session, far: Session, name: str
) -> None:
    queue, there = Queue(session, name, int, result=Fussy), Queue(far, name, int, result=Fussy)

    async def handle(delivery: Delivery[int]) -> object:
        return Fussy(size=1) if delivery.item else {"size": 9}

    async with asyncio.timeout(10), working(there, handle, concurrency=1, rules={int: Rules(attempts=1)}):
        with pytest.raises(RemoteError, match="InvalidResult: this dict is no result of int: TypeError: too much"):
            await (await queue.submit(0))
        assert await (await queue.submit(1)) == Fussy(size=1)
    future, other = await queue.submit(2), await Queue(session, name, int).submit(3)
    plain = Queue(far, name, int)
    await (await plain.get()).ack(result={"size": 9})
    await (await plain.get()).ack(result="after it")
    async with asyncio.timeout(5):
        with pytest.raises(InvalidResult, match="what came is no result of int: TypeError: too much"):
            await future
        assert await other == "after it"


def nested() -> object:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def cyclic() -> object:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("make", [nested, cyclic])
async def test_a_result_too_deep_to_travel_is_refused(
    queue: Queue[int], there: Queue[int], make: Callable[[], object]
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    with pytest.raises(InvalidResult):
        await delivery.ack(result=make())
    await delivery.ack(result="instead")
    assert await future == "instead"


@pytest.mark.parametrize("outcome", [b"?", b"!", b"![]", b'!{"reason":1}'])
async def test_what_others_say_in_our_channel_ends_no_connection(
    queue: Queue[int], there: Queue[int], client: Redis, outcome: bytes
) -> None:
    future, other = await queue.submit(1), await queue.submit(2)
    to = f"weir:{future.id[:12]}"
    await client.publish(to, b"progress %b %b%b" % (queue.name.encode(), future.id.encode(), b"half done"))
    await client.publish(to, b"result %b %b%b" % (queue.name.encode(), future.id.encode(), outcome))
    async with asyncio.timeout(5):
        with pytest.raises(InvalidResult, match="what came is no outcome"):
            await future
        for _ in range(2):
            await (await there.get()).ack(result="right")
        assert await other == "right"
    assert future.progress is None


async def test_a_result_larger_than_a_message_may_be_is_a_failure(session: Session, far: Session, name: str) -> None:
    queue, there = (Queue(each, name, int, max_message_bytes=1000, max_attempts=1) for each in (session, far))

    async def handle(_: Delivery[int]) -> str:
        return "x" * 1000

    async with asyncio.timeout(5), working(there, handle):
        with pytest.raises(RemoteError, match="MessageTooLarge"):
            await (await queue.submit(1))
    future = await queue.submit(1)
    delivery = await there.get()
    with pytest.raises(MessageTooLarge, match="return a reference"):
        await delivery.ack(result="x" * 1000)
    await delivery.ack()
    assert await future is None


async def test_many_large_results_are_split_over_calls(session: Session, far: Session, name: str) -> None:
    queue, there = Queue(session, name, int), Queue(far, name, int)

    async def handle(delivery: Delivery[int]) -> str:
        return chr(97 + delivery.item % 26) * 200_000

    futures = await asyncio.gather(*(queue.submit(number) for number in range(120)))
    async with asyncio.timeout(30), working(there, handle, concurrency=60):
        for number, result in enumerate(await asyncio.gather(*futures)):
            assert result == chr(97 + number % 26) * 200_000


async def test_the_type_of_the_future_is_that_of_the_message(session: Session, name: str, there: Queue[int]) -> None:
    class Weigh(Message[float]):
        text: str

    try:
        messages: Queue[Message] = Queue(session, name, Message)
        future = await messages.submit(Weigh(text="x"))
        assert assert_type(future, ResultFuture[float]) is future
        future.cancel()
        assert_type(await there.submit(1), ResultFuture[Any]).cancel()
    finally:
        del Message._classes["Weigh"]


# --- where handlers run -----------------------------------------------------------------------------------------------


async def on_the_loop(delivery: Delivery[Errand], _: Pipeline) -> object:
    await asyncio.sleep(0)
    return returned(delivery)


def returned(delivery: Delivery[Errand], _: Pipeline | None = None) -> object:
    """Return what the text says."""
    return nothing_to_send() if delivery.item.text == "bad" else {"text": delivery.item.text, "pid": os.getpid()}


def nothing_to_send() -> object:
    return {1, 2}


@pytest.mark.parametrize("place, function", [("loop", on_the_loop), ("thread", returned), ("process", returned)])
async def test_a_result_comes_from_wherever_the_handler_runs(
    url: str, session: Session, name: str, place: Place, function: Any
) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=0)
    async with (
        asyncio.timeout(30),
        open_pipeline(settings) as pipeline,
        Handling({Errand: Handler(function, place, Rules(attempts=1))}, pipeline) as handling,
        working(pipeline.queue, handling.handle, rules=handling.rules),
    ):
        result = await (await queue.submit(order("good")))
        assert result["text"] == "good"
        assert (result["pid"] == os.getpid()) == (place != "process")
        with pytest.raises(RemoteError, match="this set is no result of Errand") as raised:
            await (await queue.submit(order("bad")))
        assert (raised.value.reason, "InvalidResult" in raised.value.error) == ("failed", True)
        await queue.put(order("bad"))  # nobody looks at it
        await queue.join()
    assert (await queue.statistics()).acked_total == 2


async def test_a_failure_in_a_process_comes_back_with_its_traceback(url: str, session: Session, name: str) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=0)
    async with (
        asyncio.timeout(30),
        open_pipeline(settings) as pipeline,
        Handling({Errand: Handler(obey, "process", Rules(attempts=1))}, pipeline) as handling,
        working(pipeline.queue, handling.handle, rules=handling.rules),
    ):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(order("fail nothing there")))
        assert (raised.value.reason, raised.value.error) == ("failed", "LookupError: nothing there")
        assert "in fail" in raised.value.traceback
        with pytest.raises(RemoteError, match=r"^crashed: the handler's process ended with code 3"):
            await (await queue.submit(order("exit 3")))


# --- it costs nothing when nobody asks --------------------------------------------------------------------------------


async def test_a_plain_put_carries_nothing_and_its_result_is_not_looked_at(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1)
    await queue.put(2, id="two")
    entries = await client.lrange(f"{{{queue.name}}}:pending", 0, -1)  # type: ignore[misc]
    assert [chr(entry[FLAG]) for entry in entries] == [".", "i"]
    await (await there.get()).ack(result=object())

    async def handle(_: Delivery[int]) -> object:
        return object()

    async with asyncio.timeout(5), working(there, handle):
        await queue.join()
    assert (await queue.statistics()).acked_total == 2
    assert not await client.exists(queue_keys(queue.name)["results"])


# --- on the server ----------------------------------------------------------------------------------------------------


async def test_what_was_heard_is_forgotten(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    async with asyncio.timeout(5), working(there, double):
        await asyncio.gather(*(await asyncio.gather(*(queue.submit(number) for number in range(20)))))

        async def left() -> int:
            return await kept(client, queue.name)

        await until(left, lambda left: left == 0)


async def test_what_nobody_hears_expires(url: str, far: Session, name: str, client: Redis) -> None:
    keys = queue_keys(name)
    async with Session.open(url) as session:
        _ = await Queue(session, name, int, results_for=50).submit(1)
    there = Queue(far, name, int)
    await (await there.get()).ack(result=1)
    assert await kept(client, name) == 1
    seconds, _ = await client.time()
    ((key, due),) = await client.zrange(keys["results_due"], 0, -1, withscores=True)
    assert 45 < due / 1000 - seconds <= 51
    assert 45 < await client.ttl(keys["results"]) <= 51 + 60
    assert await client.ttl(keys["results_due"]) > 45
    # The next one prunes.
    await client.zadd(keys["results_due"], {key: 1})
    async with Session.open(url) as session:
        future = await Queue(session, name, int).submit(2)
        await (await there.get()).ack(result=2)
        assert await future == 2
    assert await client.hexists(keys["results"].decode(), key) is False  # type: ignore[misc]


@pytest.mark.parametrize("seconds", [0, 9.9, -1, math.nan, math.inf, True, 367 * 86400])
async def test_for_how_long_is_checked(session: Session, name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"results_for is (between 10 and 31622400|a number of) seconds"):
        Queue(session, name, int, results_for=seconds)


async def test_results_go_out_when_memory_is_full(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    try:
        await client.config_set("maxmemory", "1mb")
        await delivery.ack(result=2)
        async with asyncio.timeout(5):
            assert await future == 2
    finally:
        await client.config_set("maxmemory", "0")


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_a_result_told_while_we_were_cut_off_is_asked_for(proxy: Proxy, there: Queue[int], name: str) -> None:
    async with Session.open(proxy.url) as session:
        queue = Queue(session, name, int)
        futures = [await queue.submit(number) for number in range(3)]
        with proxy.refusing():
            for _ in futures:
                delivery = await there.get()
                await delivery.ack(result=delivery.item)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*futures) == [0, 1, 2]


async def test_a_wake_up_that_nobody_read_is_made_up_for_within_a_second(
    queue: Queue[int], there: Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also when the lane has had nothing to do meanwhile.
    future = await queue.submit(0)
    await (await there.get()).ack()
    await future
    await inside.results_flushed(queue)
    await queue.statistics()
    future = await queue.submit(1)
    monkeypatch.setattr(inside.result_lane_at(queue), "receive", lambda *_: None)
    await (await there.get()).ack(result=2)
    async with asyncio.timeout(3):
        assert await future == 2


async def test_a_result_that_may_have_expired_meanwhile_is_said_to_be_lost(
    proxy: Proxy, there: Queue[int], name: str, client: Redis
) -> None:
    async with Session.open(proxy.url) as session:
        future, other = (
            await Queue(session, name, int, results_for=10).submit(1),
            await Queue(session, name, int).submit(2),
        )
        with proxy.refusing():
            await (await there.get()).ack(result=2)
            keys = queue_keys(name)
            await client.delete(keys["results"], keys["results_due"])
            inside.no_contact_for(session, name, 10)
        with pytest.raises(ResultLost, match="a result is kept for 10 s"):
            await future
        await (await there.get()).ack(result=3)
        assert await other == 3


# --- cancelling -------------------------------------------------------------------------------------------------------


async def given_up(client: Redis, name: str, count: int) -> None:
    """Wait until the server knows of so many."""

    async def look() -> int:
        marked: int = await client.zcard(queue_keys(name)["given_up"])
        return marked

    await until(look, lambda marked: marked == count)


async def test_a_future_that_is_cancelled_gives_its_message_up(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    futures = [await queue.submit(number) for number in range(5)]
    for at in (0, 2, 4):
        assert futures[at].cancel()
    await given_up(client, queue.name, 3)
    for at in (1, 3):
        delivery = await there.get_nowait()
        assert delivery.item == at
        await delivery.ack(result=at)
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    assert [await futures[1], await futures[3]] == [1, 3]
    await given_up(client, queue.name, 0)
    async with asyncio.timeout(1):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.put_total, statistics.acked_total, statistics.cancelled_total) == (5, 2, 3)
    assert (statistics.pending, statistics.leased) == (0, 0)
    (await take_census(client, queue.name)).check()


async def test_more_than_a_step_drops_are_passed_over(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    for future in await asyncio.gather(*(queue.submit(number) for number in range(2500))):
        future.cancel()
    await queue.put(-1)
    await given_up(client, queue.name, 2500)
    async with asyncio.timeout(5), await there.get() as item:
        assert item == -1
    async with asyncio.timeout(5):
        await queue.join()
    assert (await queue.statistics()).cancelled_total == 2500


async def test_a_message_that_waits_for_its_next_attempt_is_given_up_too(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    futures = [await queue.submit(number) for number in range(2)]
    deliveries = [await there.get(), await there.get()]
    await deliveries[0].nack()
    await deliveries[1].nack(delay=0.05)
    for future in futures:
        future.cancel()
    await given_up(client, queue.name, 2)
    taking = asyncio.create_task(there.get())
    async with asyncio.timeout(5):
        await queue.join()
    assert (await queue.statistics()).cancelled_total == 2
    await queue.put(9)
    async with await taking as item:
        assert item == 9


async def test_what_has_been_taken_is_handled_and_its_result_dropped(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    future.cancel()
    await given_up(client, queue.name, 1)
    await delivery.ack(result=1)
    await given_up(client, queue.name, 0)
    assert await kept(client, queue.name) == 0
    assert (await queue.statistics()).cancelled_total == 0


async def test_a_mark_is_forgotten_after_a_day(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    future = await queue.submit(1)
    future.cancel()
    await given_up(client, queue.name, 1)
    (key,) = await client.zrange(queue_keys(queue.name)["given_up"], 0, -1)
    seconds, _ = await client.time()
    await client.zadd(queue_keys(queue.name)["given_up"], {key: (seconds - 86401) * 1000})
    async with await there.get() as item:
        assert item == 1


async def test_a_submission_that_is_cancelled_while_it_waits_is_withdrawn(
    session: Session, name: str, there: Queue[int]
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    waiting = asyncio.create_task(queue.submit(1))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        _ = await waiting
    statistics = await queue.statistics()
    assert (statistics.puts_waiting, statistics.put_total) == (0, 1)
    async with await there.get() as item:
        assert item == 0


async def test_wait_for_gives_up_what_took_too_long(queue: Queue[int], client: Redis) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(await queue.submit(1), 0.01)
    await given_up(client, queue.name, 1)


# --- ids --------------------------------------------------------------------------------------------------------------


async def test_a_known_id_has_the_result_of_the_first(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    first = await queue.submit(1, id="one")
    async with Session.open(url) as other:
        second = await Queue(other, queue.name, int).submit(1, id="one")
        third = await queue.submit(1, id="one")
        assert await queue.qsize() == 1
        delivery = await there.get()
        assert delivery.id == "one"
        await delivery.ack(result="first")
        async with asyncio.timeout(5):
            assert await asyncio.gather(*[first, second, third]) == ["first"] * 3
        # And later, for as long as the id is known.
        assert await (await Queue(other, queue.name, int).submit(1, id="one")) == "first"
    assert (await queue.statistics()).put_total == 1
    assert await kept(client, queue.name) == 1
    with pytest.raises(IdConflict, match="another body"):
        _ = await queue.submit(2, id="one")


async def test_a_result_under_an_id_is_kept_as_long_as_the_id_is_known(
    session: Session, there: Queue[int], name: str, client: Redis
) -> None:
    _ = await Queue(session, name, int, known_for=7200, results_for=10).submit(1, id="one")
    await (await there.get()).ack()
    ((_, due),) = await client.zrange(queue_keys(name)["results_due"], 0, -1, withscores=True)
    seconds, _ = await client.time()
    assert 7100 < due / 1000 - seconds < 7201


async def test_an_id_that_was_put_without_asking_is_a_conflict(queue: Queue[int]) -> None:
    await queue.put(1, id="one")
    with pytest.raises(IdConflict, match="without asking"):
        _ = await queue.submit(1, id="one")
    assert await queue.qsize() == 1
    await queue.put(1, id="one")


async def test_an_id_whose_message_was_given_up_is_new_again(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    first = await queue.submit(1, id="one")
    async with Session.open(url) as other:
        second = await Queue(other, queue.name, int).submit(1, id="one")
        third = await Queue(other, queue.name, int).submit(1, id="one")
        # It is not theirs to give up.
        third.cancel()
        await asyncio.sleep(0)
        first.cancel()
        await given_up(client, queue.name, 1)
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
        async with asyncio.timeout(5):
            with pytest.raises(RemoteError, match=r"^given up"):
                await second
    again = await queue.submit(1, id="one")
    await (await there.get()).ack(result="again")
    assert await again == "again"
    (await take_census(client, queue.name)).check()


async def test_who_submits_again_what_was_given_up_wants_it_again(
    queue: Queue[int], there: Queue[int], url: str, client: Redis
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(await queue.submit(1, id="one"), 0.01)
    await given_up(client, queue.name, 1)
    again = await queue.submit(1, id="one")
    await given_up(client, queue.name, 0)
    delivery = await there.get()
    # And when it has been taken, and comes back.
    second = await queue.submit(2, id="two")
    held = await there.get()
    second.cancel()
    await given_up(client, queue.name, 1)
    async with Session.open(url) as other:
        third = await Queue(other, queue.name, int).submit(2, id="two")
        await held.nack()
        await delivery.ack(result="one")
        async with asyncio.timeout(5):
            await (await there.get()).ack(result="two")
            assert [await again, await third] == ["one", "two"]
    assert (await queue.statistics()).cancelled_total == 0
    (await take_census(client, queue.name)).check()


async def test_an_id_that_is_forgotten_before_we_ask_for_it_is_new(
    queue: Queue[int], there: Queue[int], client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await queue.submit(1, id="one")
    results = inside.result_lane_at(queue)
    ask = results.key_of

    async def ask_late(id_: str) -> bytes | None:
        first.cancel()
        await given_up(client, queue.name, 1)
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
        return await ask(id_)

    monkeypatch.setattr(results, "key_of", ask_late)
    second = await queue.submit(1, id="one")
    async with asyncio.timeout(5):
        await (await there.get()).ack(result="second")
        assert await second == "second"
    await asyncio.sleep(0)
    assert inside.results_awaited(queue) == 0
    assert (await queue.statistics()).put_total == 2
    (await take_census(client, queue.name)).check()


@pytest.mark.parametrize("id_", ["", "a b", "x" * 129, 5])
async def test_a_bad_id_is_refused_before_anything_is_sent(queue: Queue[int], id_: Any) -> None:
    with pytest.raises(ValueError, match="an id is"):
        _ = await queue.submit(1, id=id_)
    with pytest.raises((TypeError, ValueError)):
        _ = await queue.submit("x")  # type: ignore[call-overload]
    assert await queue.qsize() == 0


# --- progress ---------------------------------------------------------------------------------------------------------


async def test_progress_reaches_whoever_submitted(queue: Queue[int], there: Queue[int]) -> None:
    heard: list[tuple[float, str]] = []
    news = asyncio.Event()

    def on_progress(fraction: float, text: str) -> None:
        heard.append((fraction, text))
        news.set()

    future = await queue.submit(1, on_progress=on_progress)
    before = future.progress
    assert before is None
    delivery = await there.get()
    for fraction, text in ((0, ""), (0.25, "a b\nc"), (1, "done é")):
        news.clear()
        await delivery.progress(fraction, text)
        async with asyncio.timeout(5):
            await news.wait()
        assert heard[-1] == (fraction, text)
    assert future.progress == Progress(1.0, "done é")
    await delivery.ack()
    await future
    with pytest.raises(StaleDelivery):
        await delivery.progress(1)


async def test_of_what_is_said_at_once_the_last_counts(session: Session, name: str, proxy: Proxy) -> None:
    heard: list[float] = []
    async with Session.open(proxy.url) as near:
        queue, there = Queue(session, name, int), Queue(near, name, int)
        future = await queue.submit(1, on_progress=lambda fraction, _: heard.append(fraction))
        delivery = await there.get()
        for number in range(1001):
            await delivery.progress(number / 1000)

        async def last() -> float:
            return heard[-1] if heard else 0.0

        await until(last, lambda last: last == 1.0)
        assert heard == sorted(heard)
        assert proxy.count("progress") < 500
        await delivery.ack()
        await future


async def test_nobody_hears_of_a_delivery_that_is_not_ours_any_more(
    queue: Queue[int], far: Session, there: Queue[int], client: Redis
) -> None:
    heard: list[float] = []
    future = await queue.submit(1, on_progress=lambda fraction, _: heard.append(fraction))
    delivery = await there.get()
    await client.delete(f"{{{queue.name}}}:leased:{inside.session_id_of(far, queue.name)}")
    await delivery.progress(0.5)
    await inside.progress_sent(there)
    await queue.statistics()
    assert (heard, future.progress) == ([], None)
    future.cancel()
    with pytest.raises(StaleDelivery):
        await delivery.ack()


async def test_progress_of_what_nobody_asked_for_sends_nothing(queue: Queue[int], name: str, proxy: Proxy) -> None:
    await queue.put(1)
    async with Session.open(proxy.url) as near, await Queue(near, name, int).get():
        pass
    await queue.put(1)
    async with Session.open(proxy.url) as near:
        delivery = await Queue(near, name, int).get()
        await delivery.progress(0.5, "half")
        await delivery.ack()
        assert proxy.count("progress") == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, math.inf, True, "x", None])
async def test_a_bad_fraction_is_refused(queue: Queue[int], there: Queue[int], fraction: Any) -> None:
    await queue.put(1)
    delivery = await there.get()
    with pytest.raises(ValueError, match="a fraction is a number from 0 to 1"):
        await delivery.progress(fraction)
    with pytest.raises(ValueError, match="a text"):
        await delivery.progress(0.5, 5)  # type: ignore[arg-type]
    await delivery.ack()


async def test_what_a_callback_raises_is_told_to_the_loop(queue: Queue[int], there: Queue[int]) -> None:
    told: list[Any] = []
    heard = asyncio.Event()

    def on_progress(_: float, __: str) -> None:
        heard.set()
        fail()

    future = await queue.submit(1, on_progress=on_progress)
    delivery = await there.get()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    await delivery.progress(0.5)
    async with asyncio.timeout(5):
        await heard.wait()
    await delivery.ack(result=1)
    assert await future == 1
    loop.set_exception_handler(before)
    assert [type(error) for error in told] == [LookupError]


# --- an answer comes once ---------------------------------------------------------------------------------------------


async def test_a_message_that_is_handled_twice_answers_once(
    queue: Queue[int], url: str, name: str, there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    async with Session.open(url) as slow:
        late = await Queue(slow, name, int).get()
        await inside.end_session(client, slow, name)
        async with asyncio.timeout(5):
            await (await there.get()).ack(result="second")
        with pytest.raises(StaleDelivery):
            await late.ack(result="late")
    assert await future == "second"


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("step", ["put", "settle_and_take", "results", "progress"])
async def test_a_break_at_any_step_answers_all_the_same(
    proxy: Proxy, name: str, step: str, fate: Fate, client: Redis
) -> None:
    async with Session.open(proxy.url) as session, asyncio.timeout(20):
        queue = Queue(session, name, int)

        async def handle(delivery: Delivery[int]) -> int:
            await delivery.progress(0.5)
            return -delivery.item

        async with working(queue, handle):
            assert await (await queue.submit(1)) == -1
            met = proxy.drop_nth(1, fate, lambda command: command.of_session and command.name == step)
            futures = await asyncio.gather(*(queue.submit(number) for number in range(300)))
            assert await asyncio.gather(*futures) == [-number for number in range(300)]
            await inside.result_lane_of(session, name).flush()
            assert met.is_set()
        statistics = await queue.statistics()
        assert (statistics.put_total, statistics.acked_total) == (301, 301)
        assert await kept(client, name) == 0


def test_what_is_told_of_a_failure_can_be_kept() -> None:
    import pickle  # noqa: PLC0415  # as multiprocessing does with what a child raises

    error = RemoteError("failed", "ValueError: x", "trace")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (back.reason, back.error, back.traceback, str(back)) == ("failed", "ValueError: x", "trace", str(error))
    assert str(RemoteError("unwanted")) == "unwanted"
    assert json.loads(TypeAdapter(str).dump_json(str(error)))
    assert issubclass(ResultFuture, asyncio.Future)


async def test_cancelling_a_second_submission_gives_up_its_own_only(session: Session, url: str, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    async with Session.open(url) as other:
        theirs = Queue(other, name, int)
        first = asyncio.create_task(queue.submit(7, id="one"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        second = asyncio.create_task(theirs.submit(7, id="one"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
        await queue.resize(5)
        mine, attached = await first, await second
        attached.cancel()
        await asyncio.sleep(0)
        await inside.results_flushed(theirs)
        await (await queue.get()).ack()
        async with asyncio.timeout(3):
            delivery = await queue.get()
            await delivery.ack("done")
            assert await mine == "done"
