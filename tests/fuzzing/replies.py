"""Replies: what the server answers, altered on its way. A call fails or is repeated; nothing hangs or leaks."""

import asyncio
import contextlib
import itertools
import random
import secrets
from typing import Any, Final

from shared.concurrency import Lock, Queue, Session
from tests.fuzzing.forge import TOKENS
from tests.fuzzing.orders import Order
from tests.fuzzing.world import Found, World
from tests.instruments.proxy import Proxy

_PATIENCE: Final = 30.0
_BOUND: Final = 0.1


async def feed_replies(world: World, chance: random.Random, count: int) -> int:
    """Alter so many replies and pushes on their way to a session that uses everything; returns how many."""
    altered = itertools.count()
    fed, likely = 0, chance.choice((0.02, 0.05, 0.1))

    def alter(reply: bytes) -> bytes:
        nonlocal fed
        if fed >= count or chance.random() > likely:
            return reply
        fed = next(altered) + 1
        return _altered(chance, reply)

    while fed < count:
        name = f"fuzz-{secrets.token_hex(4)}"
        folder = world.folder / name
        folder.mkdir()
        async with Proxy(world.server.url, folder) as proxy, Session.open(proxy.url, ttl=1.0) as session:
            queue = Queue(session, name, Order)
            await queue.put(Order(number=0))
            proxy.alter = alter
            for _ in range(20):
                await _use(session, queue, name)
            proxy.alter = lambda reply: reply
            await _works_again(session, queue, name)
        await _nothing_is_lost(world, name)
        # A defect of the connection is what an altered reply is: it is opened again.
        world.defects.seen = [each for each in world.defects.seen if not each.startswith(_REFUSALS)]
        world.check(f"after {fed} replies")
        await world.forget(name)
    return fed


_REFUSALS: Final = ("a defect ended the connection", "a notification could not be received")


def _altered(chance: random.Random, reply: bytes) -> bytes:
    spoilt = bytearray(reply)
    at = chance.randrange(len(spoilt))
    match chance.randrange(8):
        case 0:
            spoilt[at] ^= 1 << chance.randrange(8)
        case 1:
            del spoilt[at:]
        case 2:
            spoilt[at:at] = chance.choice(TOKENS)
        case 3:
            return reply + reply
        case 4:
            return chance.choice(
                (
                    b"$-1\r\n",
                    b"*-1\r\n",
                    b"_\r\n",
                    b":7\r\n",
                    b"+OK\r\n",
                    b"*0\r\n",
                    b"-ERR junk\r\n",
                    b"-LOADING\r\n",
                    b"#t\r\n",
                    b",nan\r\n",
                )
            )
        case 5:
            return b""
        case 6:
            spoilt[at:at] = chance.randbytes(chance.randrange(1, 20))
        case _:
            return b"$" + chance.choice((b"99999999999", b"-5", b"x", b"536870913")) + b"\r\n" + reply
    return bytes(spoilt)


async def _use(session: Session, queue: Queue[Order], name: str) -> None:
    """Put, take, settle, lock: each fails with an error, or succeeds, or waits as in an outage."""

    async def lock() -> None:
        async with Lock(session, name):
            pass

    async def settle() -> None:
        await (await queue.get()).ack()

    calls: tuple[Any, ...] = (lambda: queue.put(Order(number=1)), settle, queue.statistics, lock)
    for call in calls:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_BOUND):
                await call()


async def _works_again(session: Session, queue: Queue[Order], name: str) -> None:
    """On the same session, once nothing is altered any more."""
    step = "put"
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(Exception):  # of a call that was answered while replies were altered
                    await queue.put(Order(number=2))
                    break
            step = "statistics"
            await queue.statistics()
            step = "lock"
            async with Lock(session, f"{name}-after"):
                pass
    except TimeoutError:
        raise Found(f"the session does not work again: {step} waits for ever") from None


async def _nothing_is_lost(world: World, name: str) -> None:
    """Another session gets what is left, once that one is closed: what was put is acknowledged."""
    async with Session.open(world.server.url, ttl=5.0) as session:
        queue = Queue(session, name, Order)
        try:
            async with asyncio.timeout(_PATIENCE):
                while (seen := await queue.statistics()).put_total > seen.acked_total + seen.dead_total:
                    await (await queue.get()).ack()
        except TimeoutError:
            raise Found(f"messages are held by nobody: {await queue.statistics()}") from None
