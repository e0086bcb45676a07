"""Remains: what is kept of those who have left, in their processes and at the server."""

import math
from collections.abc import Container, Mapping
from typing import Any, Final, TypeAlias

from shared.concurrency import Session
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.session.session import process_of
from tests.simulation.expiry import KEPT
from tests.simulation.network import EPOCH
from tests.simulation.world import World

Rest: TypeAlias = tuple[float, float]
"""For how many ms a key is kept from now on, at least and at most."""

FOREVER: Final[Rest] = (-1, -1)
BRIEFLY: Final[Rest] = (0, 600_000)
"""For as long as a call may be under way."""
_RAN_WITHIN: Final = 300_000.0
"""The server's own clock is the real one: for how many ms of it a run takes at most."""


def rest(hours: float) -> Rest:
    """A key that is kept for so long when it was used last, in this run."""
    return hours * 3_600_000 - _RAN_WITHIN, hours * 3_600_000


def left_at_server(
    world: World, rests: Mapping[bytes, Rest], calls: Container[bytes], gone: tuple[bytes, ...]
) -> list[str]:
    """What is there beside what may rest, and what rests for another time, or speaks of an owner who has left.

    `calls`: the keys that do, for they know calls that may be sent again.
    """
    found = []
    for key in sorted(world.control.call("KEYS", "*")):
        if key.startswith(b"sim:"):
            continue
        if key not in rests:
            found.append(f"{key.decode()} is left")
            continue
        (least, most), left = rests[key], _ms_left(world, key)
        if not least <= left <= most:
            found.append(f"{key.decode()} is kept for {left:.0f} ms")
        if key not in calls and (
            there := [member.decode() for member in _members(world, key) if member.startswith(gone)]
        ):
            found.append(f"{key.decode()} still has {there[:3]}")
    return found


def _ms_left(world: World, key: bytes) -> float:
    until = world.control.call("HGET", KEPT, key)
    if until is None:
        return float(world.control.call("PTTL", key))
    return max(0.0, float(until) - (EPOCH + world.server_now) * 1000)


def _members(world: World, key: bytes) -> list[bytes]:
    kind = world.control.call("TYPE", key)
    words = ("HKEYS", key) if kind in {b"hash", "hash"} else ("ZRANGE", key, 0, -1)
    found: list[bytes] = world.control.call(*words)
    return found


def left_in_process(session: Session) -> list[str]:
    """What a session that has ended still waits for, or has in hands."""
    process = process_of(session)
    kept: dict[str, Any] = {
        "listeners": process._parts._receivers,
        "tasks in the background": process.background._tasks,
        "names to renew": process._heartbeat.timetable._due,
        "waits under way": range(process.background.underway._count),
    }
    found = {what: len(there) for what, there in kept.items()}
    for part in process._parts:
        if isinstance(part, LeaseParticipant):
            readers = part._local_readers.values()
            found |= {
                "holds": len(part.holds),
                "waiters": len(part.asking._waiters),
                "bodies": len(part.inside),
                "readers": sum(each._waiting + (each._obtaining is not None) for each in readers),
            }
    return [f"{count} {what}" for what, count in found.items() if count]


def hold_fields(world: World, record: bytes) -> list[str]:
    """What the record of a lease still says of single holds."""
    return [field.decode() for field in world.control.call("HKEYS", record) if b"." in field]


def hours(ttl: float) -> float:
    """For how long the record of a lease with this time to live rests, in hours."""
    return max(1.0, math.ceil(ttl * 10) / 3600)
