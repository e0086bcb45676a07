"""Counts a queue in its keys, past our own code, and says whether the numbers add up."""

from dataclasses import dataclass

from redis.asyncio import Redis

_LISTS = ("pending", "released", "returned", "suspects", "line")
_HASHES = ("behind", "passed")
_OTHERS = ("delayed", "handed", "bodies", "dead", "dead:groups", "sessions", "marks", "totals", "line:own")


@dataclass(frozen=True)
class Census:
    """What lies in the keys of a queue at one moment."""

    pending: int
    returned: int
    suspects: int
    delayed: int
    leased: int
    dead: int
    grouped: int
    """Dead letters, as they are counted by reason and class."""
    line: int
    bodies: int
    sessions: int
    forwarded: int
    """Those that wait for room and came with an acknowledgement."""
    unfinished: int
    """What its counters say is not done with."""
    marks: int
    """Messages that nobody wants and that have not ended yet."""

    @property
    def waiting(self) -> int:
        """Given back, recovered, or delayed."""
        return self.returned + self.suspects + self.delayed

    def check(self) -> None:
        """AssertionError when a message is missing or there twice, or the line and its bodies differ."""
        if self.pending + self.waiting + self.leased + self.forwarded != self.unfinished:
            raise AssertionError(f"messages do not add up: {self}")
        if self.dead != self.grouped:
            raise AssertionError(f"dead letters are counted wrongly by reason and class: {self}")
        if self.line != self.bodies:
            raise AssertionError(f"the line and its bodies differ: {self}")


async def take_census(client: Redis, name: str) -> Census:
    """Count a queue, in one transaction."""
    keys = {suffix: f"{{{name}}}:{suffix}" for suffix in (*_LISTS, *_HASHES, *_OTHERS)}
    while True:
        leased = [key async for key in client.scan_iter(match=f"{{{name}}}:leased:*", count=1000)]
        async with client.pipeline(transaction=True) as pipeline:
            for word in _LISTS:
                pipeline.llen(keys[word])
            for word in _HASHES:
                pipeline.hlen(keys[word])
            pipeline.zrangebylex(keys["line:own"], "[k", "(o")
            pipeline.zcard(keys["delayed"])
            pipeline.hlen(keys["bodies"])
            pipeline.hlen(keys["dead"])
            pipeline.hvals(keys["dead:groups"])
            pipeline.zcard(keys["sessions"])
            pipeline.zcard(keys["marks"])
            pipeline.hmget(keys["totals"], ["put", "replayed", "acked", "dead", "cancelled"])
            pipeline.hvals(keys["handed"])
            pipeline.lrange(keys["line"], 0, -1)
            pipeline.hgetall(keys["bodies"])
            for key in leased:
                pipeline.hlen(key)
            answers = await pipeline.execute()
        # A session that began to hold something meanwhile is counted at the next look.
        if leased == [key async for key in client.scan_iter(match=f"{{{name}}}:leased:*", count=1000)]:
            break
    pending, released, returned, suspects, line, behind, passed, own, delayed, bodies, dead, groups, *others = answers
    sessions, marks, totals, handed, in_line, waits, *held = others
    put, replayed, acked, died, cancelled = (int(total or 0) for total in totals)
    return Census(
        pending + released + behind,
        returned,
        suspects,
        delayed + passed,
        sum(held) + sum(bool(entry) for entry in handed),
        dead,
        sum(map(int, groups)),
        line + len(own),
        bodies,
        sessions,
        sum(_forwards_at(place, waits) for place in (*in_line, *(waits_there[-22:] for waits_there in own))),
        put + replayed - acked - died - cancelled,
        marks,
    )


def _forwards_at(place: bytes, waits: dict[bytes, bytes]) -> int:
    """How many puts that came with an acknowledgement wait at a place of the line; many in a fold."""
    if place.startswith(b"*"):
        return int(waits[place].partition(b" ")[2][:5])
    return int(place.startswith(b"+"))
