"""Acknowledgements in one call come to what they would one after the other, whichever of them are refused."""

import asyncio
import copy
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, cast

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, EffectRefused, Queue

_MOST: Final = 2**53 - 1
_AMOUNTS: Final = [1, 1, 1, 2, 7, -1, 0, 5, -5, _MOST, -_MOST, _MOST - 1, 1 - _MOST]
_VALUES: Final = [b"7", b"", b"-0", b"+1", b"1e5", b"007", b"10.5", b"9" * 30, b"%d" % _MOST, b"\xff"]
_FIELDS: Final = ["x", "y", "", "2"]
_WEIGHTS: Final = {"hincrby": 12, "hset": 2, "set": 1, "incrby": 1, "delete": 1.5, "rpush": 1, "expire": 8}
_WHOLE: Final = re.compile(rb"0|-?[1-9][0-9]*")
_NEW: Final[dict[str, Any]] = {"hincrby": {}, "hset": {}, "incrby": b"0", "rpush": []}


@dataclass
class Stored:
    """What a key holds: a text, the fields of a hash, or a list."""

    value: Any
    expires: bool = False


@dataclass
class Store:
    """Some keys, and what a write does to them: the model."""

    keys: dict[str, Stored] = field(default_factory=dict)

    def after(self, writes: list[tuple[str, str, Any]]) -> "Store | None":
        """What they leave, all of them; None where one of them cannot be made."""
        store = copy.deepcopy(self)
        return store if all(store._make(*write) for write in writes) else None

    def _make(self, command: str, key: str, what: Any) -> bool:
        if command == "delete":
            self.keys.pop(key, None)
        elif command == "expire":
            self.keys.get(key, Stored(b"")).expires = True
        elif command == "set":
            self.keys[key] = Stored(what)
        else:
            held = self.keys.setdefault(key, Stored(copy.copy(_NEW[command])))
            return type(held.value) is type(_NEW[command]) and self._change(command, held, what)
        return True

    @staticmethod
    def _change(command: str, held: Stored, what: Any) -> bool:
        if command == "rpush":
            held.value.append(what)
        elif command == "hset":
            held.value |= what
        elif command == "incrby":
            held.value = _sum(held.value, what)
        else:
            held.value |= {name: _sum(held.value.get(name, b"0"), amount) for name, amount in what.items()}
            return None not in held.value.values()
        return held.value is not None


def _sum(text: bytes, amount: int) -> bytes | None:
    total = int(text) + amount if _WHOLE.fullmatch(text) else _MOST + 1
    return b"%d" % total if abs(total) <= _MOST else None


def some_writes(random: Random, keys: list[str]) -> list[tuple[str, str, Any]]:
    """Some that one delivery may make: one of a kind for each key, and `expire` beside it."""
    writes: dict[tuple[bool, str], tuple[str, str, Any]] = {}
    for _ in range(random.choice([1, 1, 2, 2, 3])):
        command, key = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0], random.choice(keys)
        what: Any = {
            "hincrby": {name: random.choice(_AMOUNTS) for name in random.sample(_FIELDS, random.randint(1, 3))},
            "hset": {random.choice(_FIELDS): random.choice(_VALUES)},
            "set": random.choice([b"5", b"text"]), "incrby": random.choice(_AMOUNTS), "rpush": b"more", "expire": 1000,
            "delete": None,
        }[command]  # fmt: skip
        writes.setdefault((command == "expire", key), (command, key, what))
    return list(writes.values())


def collect(delivery: Delivery[int], writes: list[tuple[str, str, Any]]) -> None:
    for command, key, what in writes:
        getattr(delivery.effects, command)(key, *([] if what is None else [what]))


async def found(client: Redis, keys: list[str]) -> Store:
    """What the server holds."""
    store = Store()
    for key in keys:
        kind, value = await client.type(key), None
        if kind == b"string":
            value = await client.get(key)
        elif kind == b"list":
            value = await cast("Awaitable[Any]", client.lrange(key, 0, -1))
        elif kind == b"hash":
            fields = await cast("Awaitable[dict[bytes, bytes]]", client.hgetall(key))
            value = {name.decode(): text for name, text in fields.items()}
        if value is not None:
            store.keys[key] = Stored(value, expires=await client.pttl(key) > 0)
    return store


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_they_come_to_what_they_would_one_after_the_other(
    queue: Queue[int], client: Redis, name: str, seed: int
) -> None:
    random, keys = Random(seed), [f"{{{name}}}:{letter}" for letter in "abc"]  # noqa: S311
    refused = 0
    for number in range(40):
        if number % 4 == 0:
            await client.delete(*keys)
        store = await found(client, keys)
        count = random.randint(2, 14)
        await queue.put_many(range(count))
        deliveries = [await queue.get() for _ in range(count)]
        expected = []
        for delivery in deliveries:
            writes = some_writes(random, keys)
            collect(delivery, writes)
            after = store.after(writes)
            expected.append(type(None) if after is not None else EffectRefused)
            store = after or store
        outcomes = await asyncio.gather(*(delivery.ack() for delivery in deliveries), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == expected
        assert await found(client, keys) == store
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if outcome is not None:
                refused += 1
                await delivery.dead_letter("a test")
    assert refused > 20
