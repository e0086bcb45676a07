"""Progress of a message that somebody submitted."""

import asyncio
import math
from typing import Any, NoReturn

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Progress,
    Queue,
    Session,
    StaleDelivery,
)
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


def fail() -> NoReturn:
    raise LookupError("no such user")


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
