"""Records: what stands beside the messages, overwritten by another program. A call works, or fails by a typed error."""

import asyncio
import random
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final

from shared.concurrency import (
    Barrier,
    ConcurrencyError,
    Condition,
    Event,
    Lock,
    Queue,
    ReadersWritersLease,
    Selection,
    Semaphore,
    Session,
)
from tests.fuzzing.forge import TOKENS, Forge
from tests.fuzzing.orders import Order
from tests.fuzzing.world import Found, World

_PATIENCE: Final = 20.0
_REFUSALS: Final = (ConcurrencyError, ValueError, TimeoutError)
"""How a call may end: a typed error, or the caller's own bound where it waits for what a record says."""
_BOUND: Final = 0.1


async def feed_records(world: World, chance: random.Random, count: int) -> int:
    """Overwrite so many records of a queue and of locks in use, and call everything; returns how many."""
    fed = 0
    forge = Forge(chance)
    while fed < count:
        name = f"fuzz-{secrets.token_hex(4)}"
        async with Session.open(world.server.url, ttl=5.0) as session:
            queue = Queue(session, name, Order, max_attempts=2, unread_for=0.001)
            await _use(session, queue, name, expect=_REFUSALS)
            for _ in range(min(5, count - fed)):
                fed += await _overwrite(world, chance, forge, name)
                try:
                    async with asyncio.timeout(_PATIENCE):
                        await _use(session, queue, name, expect=_REFUSALS)
                except TimeoutError:
                    raise Found(f"a call hangs after {fed} records") from None
                world.check(f"after {fed} records")
            # What was spoilt is deleted, and all of it works again.
            await world.forget(name)
        await _works_again(world, name)
        await world.forget(name)
    return fed


async def _works_again(world: World, name: str) -> None:
    async with Session.open(world.server.url, ttl=5.0) as session:
        try:
            async with asyncio.timeout(_PATIENCE):
                queue = Queue(session, name, Order)
                await queue.put(Order(number=3))
                await (await queue.get()).ack()
        except TimeoutError:
            raise Found("a queue whose keys were deleted does not work again") from None


async def _overwrite(world: World, chance: random.Random, forge: Forge, name: str) -> int:
    """Put junk in the place of one value of one key; 0 where there is none."""
    keys = sorted([key async for key in world.client.scan_iter(match=f"*{name}*", count=1000)])
    if not keys:
        return 1
    key = chance.choice(keys)
    client = world.client
    match (await client.type(key)).decode():
        case "hash":
            fields = sorted(await client.hkeys(key))
            field = chance.choice(fields) if chance.random() < 0.9 else _junk(chance, forge, b"x")
            await client.hset(key, field, _junk(chance, forge, await client.hget(key, field) or b""))
        case "list":
            await client.lset(key, 0, _junk(chance, forge, await client.lindex(key, 0) or b""))
        case "zset":
            members = sorted(await client.zrange(key, 0, -1))
            score = chance.choice((0, 1, -1, 1e15, 1e308, float("inf"), float("-inf"), 0.5))
            member = chance.choice(members)
            await client.zadd(key, {member if chance.random() < 0.5 else _junk(chance, forge, member): score})
        case _:
            await client.set(key, b"junk")
    return 1


def _junk(chance: random.Random, forge: Forge, present: bytes) -> bytes:
    match chance.randrange(5):
        case 0:
            return b""
        case 1:
            return chance.choice(
                (b"-1", b"0", b"9" * 400, b"1e308", b"nan", b"inf", b"x", b"1.5", b"ending", b"immediate", b"junk " * 3)
            )
        case 2:
            return forge.spoilt(present) if present else chance.choice(TOKENS)
        case 3:
            return chance.randbytes(chance.randrange(60))
        case _:
            return forge.entry()


async def _use(session: Session, queue: Queue[Order], name: str, *, expect: tuple[type[Exception], ...]) -> None:
    """Call everything once, each call under a bound; what is raised is one of these."""

    async def settle() -> None:
        delivery = await queue.get()
        await delivery.nack() if delivery.attempt == 1 else await delivery.ack()

    async def lock(held: Any) -> None:
        async with held:
            pass

    async def notify() -> None:
        condition = Condition(session, f"{name}-c")
        async with condition:
            await condition.notify_all()

    async def letters() -> None:
        async for letter in queue.letters.find(Selection(), 10):
            str(letter)

    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: queue.put(Order(number=1)),
        lambda: queue.put(Order(number=2), key="one"),
        lambda: queue.put(Order(number=3), id=f"id-{secrets.randbelow(3)}"),
        settle,
        settle,
        queue.statistics,
        letters,
        lambda: queue.letters.replay(Selection()),
        lambda: queue.cancel("id-1"),
        queue.pause,
        queue.resume,
        lambda: queue.resize(5),
        lambda: lock(Lock(session, f"{name}-l")),
        lambda: lock(Semaphore(session, f"{name}-s", 2)),
        lambda: lock(ReadersWritersLease(session, f"{name}-rw").read()),
        lambda: lock(ReadersWritersLease(session, f"{name}-rw").write()),
        ReadersWritersLease(session, f"{name}-rw").statistics,
        Event(session, f"{name}-e").set,
        Event(session, f"{name}-e").is_set,
        notify,
        Barrier(session, f"{name}-b", 2).n_waiting,
        Barrier(session, f"{name}-b", 2).reset,
    ]
    for call in calls:
        try:
            async with asyncio.timeout(_BOUND):
                await call()
        except expect:
            pass
