"""Processes that submit numbers and check their results, and processes that answer: for the campaign of results."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

from consumer.outcomes import Reject
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, RemoteError, Session
from tests.instruments.processes import report

IN_FLIGHT: Final = 100
_TOLD_EVERY: Final = 50


def result_of(number: int) -> Any:
    """What handling a number comes to; None where it is rejected."""
    return None if number % 97 == 0 else {"number": number, "text": str(number) * (number % 5)}


async def submit_numbers(url: str, name: str, ttl: float, numbers: list[int], with_ids: bool) -> None:  # noqa: FBT001
    """Submit a range of numbers, 100 at once; says `right` with each portion of them that has results.

    `wrong` tells of every result that was not the number's own, and `end` that there are no more.
    """
    async with Session.open(url, ttl=ttl) as session:
        queue = Queue(session, name, int)
        report("ready")
        right: list[int] = []
        left = iter(range(*numbers))
        await asyncio.gather(*(_submit_some(queue, left, right, with_ids=with_ids) for _ in range(IN_FLIGHT)))
        _tell(right)
    report("end")


async def _submit_some(queue: Queue[int], numbers: Iterable[int], right: list[int], *, with_ids: bool) -> None:
    for number in numbers:
        future = await queue.submit(number, id=f"n{number}" if with_ids else None)
        try:
            found = await future
        except RemoteError as error:
            # The text names the number.
            good = result_of(number) is None and (error.reason, error.error) == ("unwanted", f"KeyError: {number}")
            found = str(error)
        else:
            good = found == result_of(number)
        if not good:
            report("wrong", [number, found])
        right.append(number)
        if len(right) >= _TOLD_EVERY:
            _tell(right)


def _tell(right: list[int]) -> None:
    report("right", right)
    right.clear()


async def answer_numbers(url: str, name: str, ttl: float) -> None:
    """Answer until the queue is shut down."""

    async def handle(delivery: Delivery[int]) -> Any:
        await delivery.progress(0.5)
        await asyncio.sleep(0.002)
        result = result_of(delivery.item)
        if result is None:
            raise Reject("unwanted") from KeyError(delivery.item)
        return result

    async with Session.open(url, ttl=ttl) as session:
        report("ready")
        await Worker(Queue(session, name, int), handle, concurrency=20).run()
    report("end")


def missing(said: Iterator[list[int]], count: int) -> set[int]:
    """The numbers below COUNT that nobody had a result of."""
    return set(range(count)) - {number for portion in said for number in portion}


async def submit_named(url: str, name: str, ids: list[str], known_for: float) -> None:
    """Submit the numbers from 0 on under these ids, and end without waiting for the results."""
    async with Session.open(url) as session:
        queue = Queue(session, name, int, known_for=known_for)
        for number, id_ in enumerate(ids):
            _ = await queue.submit(number, id=id_)
    report("submitted")


async def answer_named(url: str, name: str) -> None:
    """Answer 0 with its double; reject 1; report half of any other, and hold it."""
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        async for delivery in queue:
            if delivery.item == 0:
                await delivery.ack(result={"twice": 0})
            elif delivery.item == 1:
                await delivery.dead_letter("unwanted")
            else:
                await delivery.progress(0.5, "half")
                report("holds", delivery.id)
                await asyncio.Event().wait()
