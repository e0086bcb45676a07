"""Entries: hostile entries in every place where a take finds some. Each becomes a dead letter, or is handled."""

import asyncio
import itertools
import random
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from shared.concurrency import Queue, Session
from tests.fuzzing.forge import Forge
from tests.fuzzing.orders import RULES, Order, handle
from tests.fuzzing.world import Found, World
from tests.instruments.workers import working

_AT_ONCE: Final = 500
_PATIENCE: Final = 60.0
_SOON: Final = 2
_LINE_NUMBERS: Final = itertools.count(1)
_PLACES: Final = ("pending", "pending", "returned", "suspects", "delayed", "handed", "leased", "line", "released")
# As the server does: what is of a later protocol waits for a consumer that knows it, for a minute at a time.
_ASIDE: Final = re.compile(rb"[0-9]{16}[\s\S]{22}[0-9]{10}[a-z][0-9]{3}")


async def feed_entries(world: World, chance: random.Random, count: int) -> int:
    """Feed so many entries to a consumer, and wait until each has come to an end; returns how many were fed."""
    name = f"fuzz-{secrets.token_hex(4)}"
    forge = Forge(chance)
    fed = 0
    has_level = chance.random() < 0.7
    async with Session.open(world.server.url, ttl=5.0) as session:
        queue = Queue(session, name, Order, max_message_bytes=65_536, max_attempts=3, unread_for=0.001)
        await queue.put(Order(number=0), key="one" if has_level else None)
        async with working(queue, handle, concurrency=4, rules=RULES):
            while fed < count:
                batch = [forge.entry() for _ in range(min(_AT_ONCE, count - fed))]
                await _inject(world, name, chance, batch, _PLACES if has_level else _PLACES[:-1])
                fed += len(batch)
                await queue.put(Order(number=1))
                await _drained(world, name, f"{fed} entries")
                world.check(f"after {fed} entries")
                await _read(queue)
        await _check_counts(world, name, fed + 1 + -(-fed // _AT_ONCE))
    await world.forget(name)
    world.check("at the end")
    return fed


async def _inject(world: World, name: str, chance: random.Random, entries: list[bytes], places: Sequence[str]) -> None:
    """Store them where a take finds them, as another program would: past every check."""
    prefix = f"{{{name}}}:"
    async with world.client.pipeline(transaction=False) as pipeline:
        for number, entry in enumerate(entries):
            match chance.choice(places):
                case "delayed":
                    pipeline.zadd(f"{prefix}delayed", {entry: chance.choice((0, 1, 1e15 - 1e15, 5))})
                case "leased":
                    # What a session held that is over: it is recovered.
                    over = f"{'gonegonegone'}.{number % 3 + 1}.1"
                    pipeline.hset(f"{prefix}leased:{over}", entry[:45], entry)
                    pipeline.zadd(f"{prefix}sessions", {over: 1})
                case "handed" if entry:  # an empty one is a session that waits for a handoff
                    over = f"handhandhand.{number}.1"
                    pipeline.hset(f"{prefix}handed", over, entry)
                    pipeline.zadd(f"{prefix}sessions", {over: 1})
                case "line":
                    # A put without an owner, which counts as put and waits for room.
                    outgoing = entry[16:]
                    key = b"+" + outgoing[1:12].ljust(11, b"0") + b"%010d" % next(_LINE_NUMBERS)
                    pipeline.hset(f"{prefix}bodies", key, b"+forgedforged " + key + outgoing[22:])
                    pipeline.rpush(f"{prefix}line", key)
                    pipeline.hincrby(f"{prefix}totals", "onward", 1)
                case "handed":
                    pipeline.rpush(f"{prefix}pending", entry)
                case place:
                    pipeline.rpush(f"{prefix}{place}", entry)
        await pipeline.execute()


async def _left(world: World, name: str) -> tuple[dict[str, int], list[bytes]]:
    prefix = f"{{{name}}}:"
    async with world.client.pipeline(transaction=True) as pipeline:
        for place in ("pending", "returned", "suspects", "released", "line"):
            pipeline.llen(prefix + place)
        pipeline.zrange(f"{prefix}delayed", 0, -1, withscores=True)
        pipeline.time()
        pipeline.hvals(f"{prefix}handed")
        pipeline.zrange(f"{prefix}sessions", 0, -1)
        pipeline.hlen(f"{prefix}bodies")
        pending, returned, suspects, released, line, scored, moment, handed, sessions, bodies = await pipeline.execute()
    leased = 0
    for each in sessions:
        leased += await world.client.hlen(f"{prefix}leased:{each.decode()}")
    known = b"irsfgtu" if await world.client.hget(f"{prefix}settings", "flow") else b"irs"
    soon = (moment[0] + _SOON) * 1000
    # And what nobody here can read waits for others, the longer the more often it was delivered.
    aside = [
        entry for entry, due in scored
        if (_ASIDE.match(entry) and entry[48] not in known) or (b'"unread_ms":' in entry and due > soon)
    ]  # fmt: skip
    left = {
        "pending": pending, "returned": returned, "suspects": suspects, "released": released, "line": line, "bodies": bodies,
        "delayed": len(scored) - len(aside), "handed": sum(map(bool, handed)), "leased": leased,
    }  # fmt: skip
    return {word: number for word, number in left.items() if number}, aside


async def _drained(world: World, name: str, what: str) -> None:
    """Wait until nothing is left but what is set aside; Found where that takes too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    while (left := (await _left(world, name))[0]) and loop.time() < until:
        world.check(what)
        await asyncio.sleep(0.01)
    if left:
        raise Found(f"after {what} the consumer is stuck, with {left}")


async def _read(queue: Queue[Order]) -> None:
    """Read what became of them, as people do."""
    await queue.statistics()
    for letter in await queue.dead_letters(200):
        if not letter.reason:
            raise Found(f"a dead letter without a reason: {letter!r:.300}")


async def _check_counts(world: World, name: str, fed: int) -> None:
    left, aside = await _left(world, name)
    words = ("acked", "dead", "cancelled")
    totals: Any = await world.client.hmget(f"{{{name}}}:totals", words)
    counts = dict(zip(words, (int(each or 0) for each in totals), strict=True))
    if sum(counts.values()) + sum(left.values()) + len(aside) != fed:
        raise Found(f"of {fed} entries {counts} ended, {len(aside)} are set aside, and {left} are left")
