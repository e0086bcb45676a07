"""Stays: what the processes of a lock campaign wrote down, as operations for the checkers."""

from collections import defaultdict
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.campaigns.checkers.fence import Grant
from tests.campaigns.checkers.linear import Operation
from tests.campaigns.checkers.overlap import Visit
from tests.campaigns.checkers.starvation import Wait


@dataclass
class Stay:
    """One task's stay under one lease; times in seconds, infinite where they are not known."""

    stay: str
    name: str
    word: str
    asked: float
    entered: float = inf
    left: float = inf
    """When it began to leave."""
    gone: float = inf
    token: int = 0
    is_late: bool = False
    """Whether it was inside past its deadline: its process was stopped or starved."""

    @property
    def process(self) -> str:
        """Whose it is."""
        return self.stay.partition(".")[0]

    @property
    def is_lost(self) -> bool:
        """Whether its lease was over before it left."""
        return self.is_late or (self.entered != inf and self.left == inf)


def read_stays(folder: Path) -> list[Stay]:
    """All stays; a line that was cut short by a kill does not count."""
    stays: dict[str, Stay] = {}
    for path in sorted(folder.glob("stays-*")):
        for line in path.read_text().split("\n")[:-1]:
            what, stay, name, token, at = line.split()
            seconds = int(at) / 1e9
            match what:
                case "read" | "write":
                    stays[stay] = Stay(stay, name, what, seconds)
                case "in":
                    stays[stay].entered, stays[stay].token = seconds, int(token)
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


def visits(stays: list[Stay]) -> list[Visit]:
    """When each was inside, in nanoseconds. Who was killed inside did nothing there any more."""
    found: list[Visit] = []
    for stay in stays:
        if stay.entered != inf:
            left = stay.left if stay.left != inf else stay.gone if stay.gone != inf else stay.entered
            found.append(Visit(stay.name, stay.process, stay.word == "write", stay.entered * 1e9, left * 1e9))
    return found


def grants(stays: list[Stay]) -> list[Grant]:
    """What was asked for, and what was granted."""
    return [Grant(each.name, each.asked, each.entered, each.token, each.word == "write") for each in stays]


def waits(stays: list[Stay]) -> list[Wait]:
    """For how long each waited that came in."""
    return [Wait(each.process, int(each.asked * 1e9), int(each.entered * 1e9)) for each in stays if each.entered != inf]
