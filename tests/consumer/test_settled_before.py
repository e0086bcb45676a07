"""What a handler has settled itself is settled once, whatever it raises afterwards, and its log says no more."""

import asyncio
import logging
from typing import Any

import pytest

from consumer.batches import Batch, Gather
from consumer.rules.rules import Rules
from shared.concurrency import Delivery, Queue
from shared.concurrency.session.log import LogLine
from tests.instruments import workers


def failures(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of each line that says a handler failed."""
    lines = [record.msg for record in caplog.records if isinstance(record.msg, LogLine)]
    return [line.fields for line in lines if line.text.startswith("the handler failed")]


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def never(_: Delivery[int]) -> None:
    raise AssertionError("handled by itself")


async def test_a_batch_of_which_all_failed_by_themselves_fails_with_one_line_more(
    queue: Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_all(batch: Batch[int]) -> None:
        for delivery in batch:
            batch.fail(delivery, ValueError(f"number {delivery.item}"))
        raise LookupError("for nobody")

    await queue.put_many(range(3))
    rules = {int: Rules(batch=Gather(3, 3600), attempts=1)}
    async with workers.working(queue, never, rules=rules, handle_batch=fail_all), asyncio.timeout(40):
        await queue.join()
    *own, last = failures(caplog)
    assert [line["error"] for line in own] == [f"ValueError: number {number}" for number in range(3)]
    assert (last["error"], last["batch"]) == ("LookupError: for nobody", 3)
    assert {letter.error for letter in await queue.dead_letters()} == {line["error"] for line in own}


async def test_a_batch_that_was_acknowledged_is_not_announced_again(
    queue: Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    async def acknowledge(batch: Batch[int]) -> None:
        for delivery in batch:
            await delivery.ack()
        raise LookupError("too late")

    await queue.put_many(range(3))
    rules = {int: Rules(batch=Gather(3, 3600))}
    async with workers.working(queue, never, rules=rules, handle_batch=acknowledge), asyncio.timeout(40):
        await queue.join()
    (line,) = failures(caplog)
    assert (line["error"], line["batch"], "again_in" in line) == ("LookupError: too late", 3, False)
    assert (await queue.statistics()).acked_total == 3


async def test_a_delivery_that_was_acknowledged_is_not_announced_again(
    queue: Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    async def acknowledge(delivery: Delivery[int]) -> None:
        await delivery.ack()
        raise LookupError("too late")

    await queue.put(1)
    async with workers.working(queue, acknowledge), asyncio.timeout(40):
        await queue.join()
    (line,) = failures(caplog)
    assert (line["error"], "again_in" in line) == ("LookupError: too late", False)
    assert (await queue.statistics()).acked_total == 1
