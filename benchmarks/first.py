"""The first message of a service: its class, its handler, and an adapter that puts it."""

import os
from contextlib import AsyncExitStack

from consumer.registry import handles
from shared.concurrency import Delivery, Queue, Session
from shared.message import Message

QUEUE = "bench"


class First(Message):
    """Say that it has begun."""

    i: int


@handles(First)
async def first(delivery: Delivery[First]) -> None:
    """Report that a handler runs, as benchmarks.child does."""
    os.write(1, b'{"i": %d}\n' % delivery.item.i)


async def open(url: str) -> tuple[AsyncExitStack, Queue[Message]]:  # noqa: A001  # the name that the harness calls
    """Connect; closed with the process."""
    stack = AsyncExitStack()
    session = await stack.enter_async_context(Session.open(url))
    return stack, Queue(session, QUEUE, Message)


async def put_many(
    c: tuple[AsyncExitStack, Queue[Message]], messages: list[tuple[int, float, dict[str, object]]]
) -> None:
    """Put so many."""
    await c[1].put_many(First(i=i) for i, _, _ in messages)
