"""A result that cannot be sent fails its message once: the work is done, and would end in the same way again."""

import asyncio
import contextlib
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from consumer.executors.dispatch import Dispatch
from consumer.rules.backoff import Backoff
from consumer.rules.handler import Handler, Place
from consumer.rules.rules import Rules
from shared.concurrency import Delivery, InvalidResult, MessageTooLarge, Queue, RemoteError, ResultTooLarge, Session
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from tests.instruments.handlers import on_the_loop, order
from tests.instruments.messages import Errand
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(180)

TOO_LARGE = "x" * 300_000


async def acknowledged(delivery: Delivery[Errand], _: Pipeline) -> None:
    await delivery.ack(returned(delivery))


def returned(delivery: Delivery[Errand], _: Pipeline | None = None) -> object:
    """Return what the text asks for."""
    if delivery.item.text == "effects":
        delivery.effects.incrby("counted", 1)
    return TOO_LARGE if delivery.item.text == "large" else {1, 2}


async def assert_failed_once(queue: Queue[Any], error: str) -> None:
    """One dead letter, which nobody tried again."""
    statistics = await queue.statistics()
    assert (statistics.nacked_total, statistics.dead_total, statistics.pending) == (0, 1, 0)
    (letter,) = await queue.dead_letters()
    assert letter.reason == "invalid_result"
    assert error in letter.error


@pytest.mark.parametrize(
    "text,error", [("set", "InvalidResult"), ("large", "ResultTooLarge"), ("effects", "InvalidResult")]
)
@pytest.mark.parametrize(
    "place,function",
    [("loop", on_the_loop(returned)), ("loop", acknowledged), ("thread", returned), ("process", returned)],
    ids=["loop", "ack", "thread", "process"],
)
async def test_work_whose_result_cannot_be_sent_is_not_repeated(
    url: str, session: Session, name: str, *, place: Place, function: Any, text: str, error: str
) -> None:
    queue: Queue[Message] = Queue(session, name, Message)
    async with (
        asyncio.timeout(100),
        open_pipeline(Settings(redis_url=SecretStr(url), queue=name, maxsize=0)) as pipeline,
        Dispatch({Errand: Handler(function, place, Rules(attempts=5))}, pipeline) as handling,
        working(pipeline.queue, handling.handle, rules=handling.rules),
    ):
        future = await queue.submit(order(text))
        with pytest.raises(RemoteError, match=f"^invalid_result: {error}: ") as raised:
            await future
        assert (raised.value.reason, error in raised.value.traceback) == ("invalid_result", True)
        await assert_failed_once(queue, error)


async def test_a_block_whose_message_has_no_such_result_is_not_repeated(
    session: Session, far: Session, name: str
) -> None:
    queue, there = (Queue(each, name, int, result=str) for each in (session, far))
    future = await queue.submit(1)
    with pytest.raises(InvalidResult, match="this NoneType is no result of int"):
        async with await there.get():
            pass
    with pytest.raises(RemoteError, match=r"^invalid_result: "):
        await future
    await assert_failed_once(queue, "InvalidResult")


@pytest.mark.parametrize("result,error", [({1}, InvalidResult), (TOO_LARGE, ResultTooLarge)], ids=["set", "large"])
async def test_an_ack_that_is_refused_inside_a_block_fails_it_once(
    session: Session, far: Session, name: str, result: object, error: type[Exception]
) -> None:
    queue, there = (Queue(each, name, int) for each in (session, far))
    future = await queue.submit(1)
    delivery = await there.get()
    with pytest.raises(error):
        async with delivery:
            await delivery.ack(result)
    with pytest.raises(RemoteError, match=r"^invalid_result: "):
        await future
    await assert_failed_once(queue, error.__name__)


class Unequal(dict[str, int]):
    """What cannot be compared."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class Unspeakable:
    """What cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


def endless() -> list[Any]:
    """What holds itself."""
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    "result",
    [
        b"\xff", "\ud800", math.nan, [math.inf], 10**5000, (1, 2), {1: 2}, object(), datetime.now(UTC), ValueError("x"),
        iter([1]), Unequal(a=1), Unspeakable(), endless(),
    ],
    ids=lambda result: type(result).__name__,
)  # fmt: skip
async def test_whatever_is_no_json_fails_it_once_and_says_why(
    session: Session, far: Session, name: str, result: object
) -> None:
    queue, there = (Queue(each, name, int) for each in (session, far))

    async def handle(_: Delivery[int]) -> object:
        return result

    async with asyncio.timeout(100), working(there, handle):
        with pytest.raises(RemoteError, match=rf"^invalid_result: InvalidResult: this {type(result).__name__} is no"):
            await (await queue.submit(1))
    await assert_failed_once(queue, "InvalidResult")


async def test_a_refused_ack_may_be_followed_by_another(session: Session, far: Session, name: str) -> None:
    queue, there = (Queue(each, name, int) for each in (session, far))
    future = await queue.submit(1)
    delivery = await there.get()
    async with delivery:
        with pytest.raises(InvalidResult):
            await delivery.ack({1})
        await delivery.ack(result="instead")
    assert await future == "instead"


async def test_what_else_the_handler_raises_is_tried_again(session: Session, far: Session, name: str) -> None:
    queue, there = (Queue(each, name, int) for each in (session, far))
    errors = [InvalidResult("what came from elsewhere"), MessageTooLarge("what it forwarded")]

    async def handle(delivery: Delivery[int]) -> int:
        with contextlib.suppress(InvalidResult):
            await delivery.ack({1})
        if errors:
            raise errors.pop()
        return delivery.attempt

    rules = {int: Rules(backoff=Backoff(first=0))}
    async with asyncio.timeout(100), working(there, handle, rules=rules):
        assert await (await queue.submit(1)) == 3
    assert (await queue.statistics()).nacked_total == 2


async def test_a_result_over_the_server_s_limit_for_subscribers_stops_nobody(
    session: Session, far: Session, name: str
) -> None:
    # It was sent, the server closed the connection, and the same was asked for again.
    queue, there = (Queue(each, name, int, max_message_bytes=1 << 24) for each in (session, far))

    async def handle(delivery: Delivery[int]) -> str:
        return "x" * (35_000_000 if delivery.item else 16_000_000)

    futures = [await queue.submit(number) for number in (1, 0)]
    async with asyncio.timeout(100), working(there, handle):
        with pytest.raises(RemoteError, match=r"^invalid_result: ResultTooLarge: "):
            await futures[0]
        assert len(await futures[1]) == 16_000_000
    await queue.letters.discard([letter.key for letter in await queue.dead_letters()])
