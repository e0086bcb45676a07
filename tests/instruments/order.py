"""Looks at the keys of a queue, past our own code, and says whether the order of each KEY adds up (rules 18 and 19)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import redis

OF_KEYS: Final = ("tails", "behind", "passed", "released", "line:own", "tags", "ready", "flow", "line:fair")
OF_LIMITS: Final = ("gated", "running", "opens")
_FLOWS: Final = b"fgtu"


def check_orders(client: redis.Redis, names: Iterable[str]) -> None:
    """AssertionError when the order of a KEY of one of these queues does not add up."""
    for name in names:
        _check(client, name)


def queues_with_order(keys: Iterable[bytes]) -> set[str]:
    """The queues, by what their keys begin with, that have one of the keys of order."""
    found = set()
    for key in keys:
        start, _, suffix = key.decode(errors="replace").partition(":")
        if suffix in (*OF_KEYS, *OF_LIMITS):
            found.add(start)
    return found


def key_in(entry: bytes) -> str | None:
    """The KEY of an entry."""
    if entry[48] not in _FLOWS:
        return None
    flow = entry[52:].partition(b'"flow":"')[2].partition(b'"')[0]
    return flow.split(b" ")[2].decode() or None


def _check(client: redis.Redis, start: str) -> None:
    leased = list(client.scan_iter(match=f"{start}:leased:*", count=1000))
    with client.pipeline(transaction=True) as pipeline:
        for word in ("pending", "released", "returned", "suspects"):
            pipeline.lrange(f"{start}:{word}", 0, -1)
        pipeline.zrange(f"{start}:delayed", 0, -1)
        pipeline.zrange(f"{start}:ready", 0, -1)
        pipeline.hvals(f"{start}:handed")
        for held in leased:
            pipeline.hvals(held)
        pipeline.zrange(f"{start}:gated", 0, -1)
        pipeline.zrange(f"{start}:running", 0, -1)
        pipeline.hgetall(f"{start}:tails")
        pipeline.hgetall(f"{start}:behind")
        pipeline.hgetall(f"{start}:passed")
        *playing, gated, running, tails, behind, passed = pipeline.execute()
    _check_places(running, [entry for part in playing[:6] if part for entry in part], [*playing[7:]])
    playing.append([member.partition(b" ")[2][16:] for member in gated])
    entries: list[bytes] = [entry for part in playing for entry in part if entry]
    heads: dict[str, bytes] = {}
    counted: Counter[str] = Counter()
    for entry in entries:
        if (key := key_in(entry)) is not None:
            counted[key] += 1
            heads[key] = entry[16:38]
    assert max(counted.values(), default=1) == 1, f"two of one key are in play: {counted.most_common(3)}"
    assert {key.decode() for key in tails} == set(heads), f"tails {tails} and what is in play, {heads}, differ"
    _check_chains(heads, tails, behind | {at: waits.partition(b" ")[2] for at, waits in passed.items()})
    assert not set(behind) & set(passed)


def _check_places(running: Iterable[bytes], ready: Iterable[bytes], held: Iterable[Iterable[bytes]]) -> None:
    """Each place of a limit is of a message that is there: a place that nobody has is lost for ever."""
    there = {b"w": {entry[16:38] for entry in ready}, b"r": {entry[16:38] for part in held for entry in part}}
    lost = [place for place in running if place.rpartition(b" ")[2] not in there[place[:1]]]
    assert not lost, f"places of limits that no message has: {lost[:3]}"


def _check_chains(heads: dict[str, bytes], tails: dict[bytes, bytes], next_of: dict[bytes, Any]) -> None:
    """From the message in play the chain of a KEY reaches the one that `tails` names, past as many as it says."""
    seen = 0
    for key, head in heads.items():
        at, count = head, 0
        while at in next_of:
            assert key_in(next_of[at]) == key
            at, count = next_of[at][16:38], count + 1
        assert tails[key.encode()] == at + b"%06d" % count, (key, tails[key.encode()], at, count)
        seen += count
    assert seen == len(next_of), "some stand behind nobody"
