"""What a result may be, what comes back of it, and where its handler ran."""

import asyncio
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, assert_type

import pytest
from pydantic import BaseModel, SecretStr, field_validator
from redis.asyncio import Redis

from consumer.executors.dispatch import Dispatch
from consumer.rules.handler import Handler, Place
from consumer.rules.rules import Rules
from shared.concurrency import (
    Delivery,
    InvalidResult,
    MessageTooLarge,
    Queue,
    RemoteError,
    ResultFuture,
    ResultTooLarge,
    Session,
)
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from tests.instruments.handlers import obey, on_the_loop, order
from tests.instruments.inside import is_held
from tests.instruments.messages import Errand
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(180)


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
        with pytest.raises(RemoteError, match=r"^invalid_result: InvalidResult: this dict is no result of Measure"):
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

    async with asyncio.timeout(40), working(there, handle, concurrency=1, rules={int: Rules(attempts=1)}):
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
    told = b"%b%05d%b" % (future.id.encode(), len(outcome), outcome)
    for behind in (b"", b"half", other.id.encode() + b"-0027", told):  # ours, and then what is none of ours
        await client.publish(to, b"results %b %b%b" % (queue.name.encode(), told, behind))
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
        with pytest.raises(RemoteError, match=r"^invalid_result: ResultTooLarge"):
            await (await queue.submit(1))
    future = await queue.submit(1)
    delivery = await there.get()
    with pytest.raises(ResultTooLarge, match="return a reference") as raised:
        await delivery.ack(result="x" * 1000)
    assert isinstance(raised.value, InvalidResult)
    assert isinstance(raised.value, MessageTooLarge)
    await delivery.ack()
    assert await future is None


async def test_many_large_results_are_split_over_calls(session: Session, far: Session, name: str) -> None:
    queue, there = Queue(session, name, int), Queue(far, name, int)

    async def handle(delivery: Delivery[int]) -> str:
        return chr(97 + delivery.item % 26) * 200_000

    futures = await asyncio.gather(*(queue.submit(number) for number in range(120)))
    async with asyncio.timeout(100), working(there, handle, concurrency=60):
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


def returned(delivery: Delivery[Errand], _: Pipeline | None = None) -> object:
    """Return what the text says."""
    return nothing_to_send() if delivery.item.text == "bad" else {"text": delivery.item.text, "pid": os.getpid()}


def nothing_to_send() -> object:
    return {1, 2}


@pytest.mark.parametrize(
    "place, function", [("loop", on_the_loop(returned)), ("thread", returned), ("process", returned)]
)
async def test_a_result_comes_from_wherever_the_handler_runs(
    url: str, session: Session, name: str, place: Place, function: Any
) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=0)
    async with (
        asyncio.timeout(100),
        open_pipeline(settings) as pipeline,
        Dispatch({Errand: Handler(function, place, Rules(attempts=1))}, pipeline) as handling,
        working(pipeline.queue, handling.handle, rules=handling.rules),
    ):
        result = await (await queue.submit(order("good")))
        assert result["text"] == "good"
        assert (result["pid"] == os.getpid()) == (place != "process")
        with pytest.raises(RemoteError, match="this set is no result of Errand") as raised:
            await (await queue.submit(order("bad")))
        assert (raised.value.reason, "InvalidResult" in raised.value.error) == ("invalid_result", True)
        await queue.put(order("bad"))  # nobody looks at it
        await queue.join()
    assert (await queue.statistics()).acked_total == 2


async def test_a_failure_in_a_process_comes_back_with_its_traceback(url: str, session: Session, name: str) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=0)
    async with (
        asyncio.timeout(100),
        open_pipeline(settings) as pipeline,
        Dispatch({Errand: Handler(obey, "process", Rules(attempts=1))}, pipeline) as handling,
        working(pipeline.queue, handling.handle, rules=handling.rules),
    ):
        with pytest.raises(RemoteError) as raised:
            await (await queue.submit(order("fail nothing there")))
        assert (raised.value.reason, raised.value.error) == ("failed", "LookupError: nothing there")
        assert "in fail" in raised.value.traceback
        with pytest.raises(RemoteError, match=r"^crashed: the handler's process ended with code 3"):
            await (await queue.submit(order("exit 3")))
