"""Stays: what the processes of the campaign `locks` wrote down, as operations for the checkers."""

from collections import defaultdict
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.campaigns.checkers.linear import Operation


@dataclass
class Stay:
    """One task's stay under one lease; times in seconds, infinite where they are not known."""

    name: str
    word: str
    asked: float
    entered: float = inf
    left: float = inf
    """When it began to leave."""
    gone: float = inf
    is_late: bool = False
    """Whether it was inside past its deadline: its process was stopped or starved."""

    @property
    def is_lost(self) -> bool:
        """Whether its lease was over before it left."""
        return self.is_late or (self.entered != inf and self.left == inf)


def read_stays(folder: Path) -> list[Stay]:
    """All stays; a line that was cut short by a kill does not count."""
    stays: dict[str, Stay] = {}
    for path in sorted(folder.glob("stays-*")):
        for line in path.read_text().split("\n")[:-1]:
            what, stay, name, at = line.split()
            seconds = int(at) / 1e9
            match what:
                case "read" | "write":
                    stays[stay] = Stay(name, what, seconds)
                case "in":
                    stays[stay].entered = seconds
                case "late":
                    stays[stay].is_late = True
                case "leaves":
                    stays[stay].left = seconds
                case "out":
                    stays[stay].gone = seconds
    return list(stays.values())


def operations(stays: list[Stay]) -> dict[str, list[Operation]]:
    """By name of the lease: when each stay may have begun, and when it may have ended.

    One that never left, or was inside past its deadline, may have ended at any time after it began: its lease says so.
    """
    found: dict[str, list[Operation]] = defaultdict(list)
    for number, stay in enumerate(stays, 1):
        found[stay.name].append(Operation(stay.word, number, stay.asked, stay.entered))
        is_sure = inf not in {stay.entered, stay.left, stay.gone} and not stay.is_late
        called = stay.left if is_sure else stay.asked if stay.entered == inf else stay.entered
        found[stay.name].append(Operation(f"end {stay.word}", number, called, stay.gone if is_sure else inf))
    return dict(found)


def longest_wait(stays: list[Stay]) -> float:
    """For how many seconds one waited who came in, at most."""
    return max((stay.entered - stay.asked for stay in stays if stay.entered != inf), default=0.0)
