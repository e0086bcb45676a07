"""Lanes: who held a lease, who waited for it and who lost it in the last minute, a row for each process."""

from collections.abc import Sequence
from typing import Any, Final

from monitor.history import Slice
from monitor.processes import Processes
from shared.concurrency.locks.leases.snapshot import LeaseSnapshot

MOST: Final = 8
"""Lanes; where more processes came, the last is all others together."""


def lanes_of(lease: LeaseSnapshot, slices: Sequence[Slice], names: Processes) -> dict[str, Any]:
    """Lanes, those that wrote first, with a letter for each slice: r reads, w holds alone, q waits, - does neither."""
    alone = {owner for each in slices for owner in each.others}
    owners = alone | {owner for each in slices for owner in (*each.readers, *each.waiters, *each.lost)}
    last = {owner: at for at, each in enumerate(slices) for owner in (*each.readers, *each.others, *each.waiters)}
    # Where there is no room for all, those who did something last are worth a lane.
    recent = sorted(owners, key=lambda owner: (-last.get(owner, -1), owner))
    chosen = recent if len(recent) <= MOST else recent[: MOST - 1]
    kept = sorted(chosen, key=lambda owner: (owner not in alone, names.called(owner), owner))
    tokens = {each.owner: each.token for each in lease.holders}
    lanes = [
        {
            "owner": owner,
            "process": names.called(owner),
            "states": "".join(_state(owner, each) for each in slices),
            "lost": [at for at, each in enumerate(slices) if owner in each.lost],
            "token": tokens.get(owner),
        }
        for owner in kept
    ]
    others = owners - set(kept)
    busy = [sum(_state(owner, each) in "rw" for owner in others) for each in slices] if others else []
    return {"lanes": lanes, "more": len(others), "more_busy": busy}


def _state(owner: str, moment: Slice) -> str:
    """A holder that also waits holds."""
    if owner in moment.others:
        return "w"
    if owner in moment.readers:
        return "r"
    return "q" if owner in moment.waiters else "-"
