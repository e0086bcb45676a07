"""Gaps: when a process had no turn. Who was starved or stopped cannot be blamed for being late; who was busy can."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a process wanted to run and could not; nanoseconds."""

    process: str
    began: int
    ended: int
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which the loop of a process did not turn, whatever the reason; nanoseconds."""

    process: str
    pid: int
    began: int
    ended: int
    cpu: int
    """For how long the process itself ran meanwhile."""
    queued: int | None
    """For how long its threads stood ready and got no processor; None where the kernel does not say."""


def excused(pause: Pause, stops: Iterable[tuple[int, int]], shortest: int) -> Gap | None:
    """As much of a pause as the machine took, or a campaign that stopped the process; None below the shortest.

    `stops`: from when to when the campaign kept it from running. What is left was the process: it computed, or waited
    for something without letting its loop turn. Where the kernel says nothing, all counts that it did not compute.
    """
    length = pause.ended - pause.began
    stopped = sum(max(0, min(pause.ended, ended) - max(pause.began, began)) for began, ended in stops)
    waited = length - pause.cpu if pause.queued is None else pause.queued + stopped
    lost = min(length, waited)
    return Gap(pause.process, pause.began, pause.began + lost, pause.pid) if lost >= shortest else None


def starved(gaps: Iterable[Gap], began: float, ended: float, process: str | None = None) -> float:
    """For how many seconds between two moments a process (or any of them) had no turn; what overlaps counts once."""
    return sum(end - start for start, end in _union(gaps, began, ended, process)) / 1e9


def all_starved(gaps: Iterable[Gap], began: float, ended: float, groups: Collection[Collection[str]]) -> float:
    """For how many seconds between two moments every process of one of these groups had no turn at once."""
    every = tuple(gaps)
    found: list[tuple[float, float]] = []
    for group in groups:
        together: list[tuple[float, float]] | None = None
        for process in group:
            own = _union(every, began, ended, process)
            together = own if together is None else _both(together, own)
        found += together or ()
    return sum(end - start for start, end in _merged(found)) / 1e9


def _union(gaps: Iterable[Gap], began: float, ended: float, process: str | None) -> list[tuple[float, float]]:
    return _merged(
        (max(gap.began, began), min(gap.ended, ended))
        for gap in gaps
        if (process is None or gap.process == process) and gap.began < ended and gap.ended > began
    )


def _merged(times: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(times):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _both(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [
        (max(start, since), min(end, until))
        for start, end in one
        for since, until in other
        if max(start, since) < min(end, until)
    ]
