"""This project behind four functions, so that any harness can measure it beside others."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Priority, Queue, Session
from shared.lasting import spare_what_stays
from shared.service import loop_factory

_CONCURRENCY = 100
_ASKS: Final = {"keys": "key", "priorities": "priority", "shares": "share", "limits": "limit"}
"""Several of what -> the keyword that asks for one."""
_COUNTS = "{bench}:counts"
"""The hash that effects add to."""


class Task(BaseModel):
    """The message, the same for every contestant."""

    model_config = ConfigDict(frozen=True)

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


@dataclass
class Client:
    """An open session and its queue; closed with the process."""

    stack: AsyncExitStack
    queue: Queue[Task]
    way: dict[str, Callable[[Task], Any]] = field(default_factory=dict)
    """What each message of a bulk put asks of its way, as keywords of `put_many`."""
    quiet: str = ""
    """What the last message of a bulk put has, and the others have not: `share` or `priority`."""


async def open(  # noqa: A001  # the name that harnesses call
    url: str,
    *,
    maxsize: int | None = None,
    results: bool = False,  # noqa: ARG001  # peers must know
    replicas: int = 0,
    quiet: str = "",
    at_once: int = 0,
    **ways: int,
) -> Client:
    """Connect. `ways`: over how many `keys`, `priorities`, `shares` and `limits` the messages of a bulk put go in turn.

    `at_once`: of each limit so many messages are in hand at most.
    """
    stack = AsyncExitStack()
    session = await stack.enter_async_context(Session.open(url, replicas=replicas))
    queue = Queue(session, "bench", Task, maxsize=maxsize)
    await asyncio.gather(*(queue.limit(_name(number), at_once=at_once) for number in range(ways.get("limits", 0))))
    return Client(stack, queue, {_ASKS[word]: _in_turn(word, count) for word, count in ways.items()}, quiet)


def _in_turn(word: str, count: int) -> Callable[[Task], Any]:
    if word == "priorities":
        return lambda task: Priority(task.i % count)
    return lambda task: _name(task.i % count)


def _name(number: int) -> str:
    return f"n{number}"


async def put(c: Client, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message."""
    await c.queue.put(Task(i=i, ts=ts, **body))  # type: ignore[arg-type]


async def submit(c: Client, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one message, and wait for its result."""
    return await (await c.queue.submit(Task(i=i, ts=ts, **body)))  # type: ignore[arg-type]


async def put_many(c: Client, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put many messages."""
    tasks = (Task(i=i, ts=ts, **body) for i, ts, body in messages)  # type: ignore[arg-type]
    if c.quiet:
        *flood, last = tasks
        await c.queue.put_many(flood, share="flood" if c.quiet == "share" else None)
        await c.queue.put(last, **{c.quiet: "quiet" if c.quiet == "share" else Priority.HIGH})  # type: ignore[arg-type]
        return
    await c.queue.put_many(tasks, **c.way)


def work(
    url: str,
    hook: Callable[[int, float], None],
    *,
    sessions: int = 1,
    seconds: float = 0.0,
    results: bool = False,
    replicas: int = 0,
    effects: int = 0,
    concurrency: int = _CONCURRENCY,
    ttl: float = 10.0,
) -> None:
    """Run the consumer service's own worker until killed; its handler calls `hook(i, ts)`, and returns I for `results`.

    `sessions`: the number of workers, each with a session of its own; `seconds`: how long a handler waits;
    `replicas`, `concurrency`, `ttl`: of a session; `effects`: to how many fields of a hash each acknowledgement adds.
    """
    fields = [f"field {number}" for number in range(effects)]

    async def handle(delivery: Delivery[Task]) -> None:
        hook(delivery.item.i, delivery.item.ts)

    async def answer(delivery: Delivery[Task]) -> int:
        hook(delivery.item.i, delivery.item.ts)
        return delivery.item.i

    async def handle_with_effects(delivery: Delivery[Task]) -> None:
        hook(delivery.item.i, delivery.item.ts)
        if effects == 1:
            delivery.effects.hincrby(_COUNTS, "field 0", 1)
        else:
            delivery.effects.hincrby(_COUNTS, dict.fromkeys(fields, 1))

    async def handle_slowly(delivery: Delivery[Task]) -> None:
        await asyncio.sleep(seconds)
        hook(delivery.item.i, delivery.item.ts)

    async def run_one() -> None:
        # A thousand of one process are let in within some ten seconds, not within the default of ten.
        async with Session.open(url, ttl=ttl, replicas=replicas, connect_timeout=100) as session:
            queue = Queue(session, "bench", Task)
            handler = answer if results else handle_slowly if seconds else handle_with_effects if effects else handle
            await Worker(queue, handler, concurrency=concurrency).run()

    async def run() -> None:
        await asyncio.gather(*(run_one() for _ in range(sessions)))

    spare_what_stays()  # as the service does
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
