"""Pushes: what anybody may publish to the channel of a process. Each is refused, or harms for no longer than a look."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from shared.concurrency import Barrier, Condition, Event, Lock, Queue, QueueShutDown, ReadersWritersLease, Session
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.queues.participant import QueueParticipant
from tests.fuzzing.forge import TOKENS, Forge
from tests.fuzzing.orders import RULES, Order, handle
from tests.fuzzing.world import Found, World
from tests.instruments.inside import owner_of, session_id_at
from tests.instruments.workers import working

_AT_ONCE: Final = 500
_PATIENCE: Final = 30.0
WORDS: Final = (
    *QueueParticipant.WORDS,
    *LeaseParticipant.WORDS,
    b"event",
    b"notified",
    b"barrier",
    b"",
    b"nobody",
    b"\xff\x00",
)
# What ends a put, a hold or a queue for its process is meant to; whoever may publish can do that. See SECURITY.md.
NUMBERS: Final = (b"0", b"1", b"-1", b"9" * 30, b"nan", b"1.5", b"", b"x", b"\xff")


async def feed_pushes(world: World, chance: random.Random, count: int) -> int:
    """Publish so many to a process that puts, handles, locks and waits; returns how many. It works as before then."""
    name, forge = f"fuzz-{secrets.token_hex(4)}", Forge(chance)
    fed = 0
    async with Session.open(world.server.url, ttl=5.0) as session, AsyncExitStack() as stack:
        queue = Queue(session, name, Order, maxsize=1000, max_attempts=2, unread_for=0.001)
        await queue.put(Order(number=0))
        await stack.enter_async_context(working(queue, handle, concurrency=2, rules=RULES))
        waiting: list[asyncio.Task[Any]] = [
            asyncio.create_task(_wait_for_event(session, name), name="fuzz-event"),
            asyncio.create_task(Barrier(session, name, 2).wait(), name="fuzz-barrier"),
            asyncio.create_task(_wait_for_condition(session, name), name="fuzz-condition"),
        ]
        stack.push_async_callback(_cancel, waiting)
        channel = f"weir:{owner_of(session)}"
        while fed < count:
            async with world.client.pipeline(transaction=False) as pipeline:
                for _ in range(min(_AT_ONCE, count - fed)):
                    pipeline.publish(channel, _push(chance, forge, name, session_id_at(queue)))
                    fed += 1
                heard = await pipeline.execute()
            if not all(heard):
                raise Found("nobody listened to the pushes")
            await _goes_on(session, queue, name, waiting)
            # Each that could not be received was logged as such, and ended there.
            world.defects.seen = [
                each for each in world.defects.seen if not each.startswith("a notification could not be received")
            ]
            world.check(f"after {fed} pushes")
        await _end(session, name, waiting)
    await world.forget(name)
    world.check("at the end")
    return fed


async def _wait_for_event(session: Session, name: str) -> None:
    event = Event(session, name)
    while not await event.is_set():
        await event.wait()  # a forged push may end it: whoever may publish can wake who waits


async def _wait_for_condition(session: Session, name: str) -> None:
    condition = Condition(session, name)
    async with condition:
        await condition.wait()


async def _cancel(tasks: "Sequence[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


def _push(chance: random.Random, forge: Forge, name: str, session_id: str) -> bytes:
    word = chance.choice(WORDS)
    about = (
        name.encode()
        if chance.random() < 0.9
        else chance.choice((b"", b"nobody", b"{" + name.encode() + b"}", name.encode() + b"/x", b"\xff"))
    )
    kind = chance.randrange(6)
    if kind == 0:
        rest = chance.choice(NUMBERS)
    elif kind == 1:
        rest = (session_id.encode() if chance.random() < 0.7 else b"gone.1.1") + b" " + forge.entry()
    elif kind == 2:
        rest = forge.entry()[16:38] + chance.choice(
            (b"", b" all", b"={}", b'!{"reason":1}', b"!x", b"~0.5 x", b"~nan", b"=\xff")
        )
    elif kind == 3:
        rest = b" ".join(chance.choice((*NUMBERS, b"owner.1.1000")) for _ in range(chance.randrange(6)))
    elif kind == 4:
        rest = b"".join(chance.choice(TOKENS) for _ in range(chance.randrange(6)))
    else:
        rest = chance.randbytes(chance.randrange(80))
    return chance.choice((b" ", b" ", b" ", b"", b"  ")).join((word, about, rest))


async def _goes_on(session: Session, queue: Queue[Order], name: str, waiting: "Sequence[asyncio.Task[Any]]") -> None:
    """Put, submit, lock and release: all of it ends, whatever was published before."""
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(QueueShutDown):  # one that was forged ends a put that is on its way
                    await queue.put(Order(number=1))
                    break
            answer = await (await queue.submit(Order(number=4)))
            if not isinstance(answer, dict):
                raise Found(f"a result came back as {answer!r:.100}")
            async with Lock(session, f"{name}-lock"):
                pass
            async with ReadersWritersLease(session, f"{name}-lease").read():
                pass
            await queue.statistics()
    except TimeoutError:
        raise Found("what goes on for ever after a push: put, submit or a lock") from None
    for task in waiting:
        if task.done():
            raise Found(f"a push ended {task.get_name()}: {task!r:.300}")


async def _end(session: Session, name: str, waiting: "Sequence[asyncio.Task[Any]]") -> None:
    """What waits is woken as ever."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await Event(session, name).set()
            await Barrier(session, name, 2).wait()
            condition = Condition(session, name)
            async with condition:
                await condition.notify_all()
            await asyncio.gather(*waiting)
    except TimeoutError:
        raise Found(f"what waited is not woken: {[task for task in waiting if not task.done()]!r:.500}") from None
