"""Deliveries that forward very many messages, and what lies at the server of these."""

import asyncio
from typing import Any

from shared.concurrency import Delivery, Queue, Session
from tests.instruments import inside
from tests.instruments.census import take_census

MANY = 2300
FOLDS = 5
"""They are so many folds."""


def stages(session: Session, name: str, maxsize: int = 0) -> tuple[Queue[int], Queue[int]]:
    return Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=maxsize)


async def with_puts(first: Queue[int], second: Queue[int], count: int = MANY) -> Delivery[int]:
    """A delivery that forwards the numbers from 0 on."""
    await second.statistics()
    await first.put(1)
    delivery = await first.get()
    for number in range(count):
        delivery.effects.put(second, number)
    return delivery


async def taken(queue: Queue[int], count: int) -> list[int]:
    items = []
    async with asyncio.timeout(100):
        for _ in range(count):
            async with await queue.get() as item:
                items.append(item)
    return items


async def nothing_staged(client: Any, queue: Queue[int]) -> None:
    """The line and its bodies are those of the puts that wait, and nobody has anything staged."""
    (await take_census(client, queue.name)).check()
    lanes = await client.hkeys(f"{{{queue.name}}}:lanes")
    assert not [lane for lane in lanes if lane.endswith(b":staged")]


async def waits(queue: Queue[int]) -> tuple[int, int, int]:
    seen = await queue.statistics()
    return seen.pending, seen.puts_waiting, seen.forwards_waiting


async def staged_by_hand(queue: Queue[int], fold: bytes, count: int) -> Any:
    entries = [b"+aaaaaaaaaaa%010d0000000000.000%d" % (number, number) for number in range(count)]
    return await inside.ask_at(queue, "stage", inside.session_id_at(queue), fold, *entries)
