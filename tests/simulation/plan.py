"""The plan of a run: which of the faults that its seed draws strike, and how much there is to do.

With the seed it says all there is to say of a run; as words of the command line it repeats one.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

NETWORK: Final = ("cut", "delay")
"""Faults that do not strike now and then, but are there all the time."""


@dataclass(frozen=True)
class Plan:
    """What is left out of a run; by default nothing is."""

    storm: bool = False
    """Whether all faults of the storm strike, beside those of the workload."""
    without: frozenset[str] = frozenset()
    """Faults that never strike."""
    strikes: tuple[int, ...] | None = None
    """The numbers of the strikes that happen; None for all."""
    messages: int | None = None
    """How many messages there are, or rounds, at most; None for as many as the workload has."""
    actors: int | None = None
    """How many processes of a sort there are, at most."""

    def has(self, fault: str, number: int) -> bool:
        """Whether this fault strikes, as this strike of the run."""
        return fault not in self.without and (self.strikes is None or number in self.strikes)

    def most(self, usual: int) -> int:
        """Of so many messages the run has this many."""
        return usual if self.messages is None else min(usual, self.messages)

    def actors_of(self, usual: int) -> int:
        """Of so many processes the run has this many."""
        return usual if self.actors is None else min(usual, self.actors)

    @property
    def words(self) -> list[str]:
        """The words of the command line that say it."""
        words = ["--storm"] if self.storm else []
        words += [word for fault in sorted(self.without) for word in ("--without", fault)]
        if self.strikes is not None:
            words += ["--strikes", _ranges(self.strikes)]
        for name, number in (("--messages", self.messages), ("--actors", self.actors)):
            words += [name, str(number)] if number is not None else []
        return words

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Have the command line take these words."""
        parser.add_argument("--storm", action="store_true", help="every fault there is, beside those of the workload")
        parser.add_argument("--without", action="append", default=[], metavar="FAULT", help="this fault never strikes")
        parser.add_argument(
            "--strikes", type=numbers, help="only these strikes of faults happen, e.g. 1-3,8; 0 for none"
        )
        parser.add_argument("--messages", type=int, help="so many messages, or rounds, at most")
        parser.add_argument("--actors", type=int, help="so many processes of a sort at most")

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """What the command line says."""
        return cls(options.storm, frozenset(options.without), options.strikes, options.messages, options.actors)


def numbers(text: str) -> tuple[int, ...]:
    """`1-3,8` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _ranges(chosen: Sequence[int]) -> str:
    """Numbers as `1-3,8`; `0` for none."""
    runs: list[tuple[int, int]] = []
    for number in sorted(chosen):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(_run(*run) for run in runs) or "0"


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def command(workload: str, seed: int, plan: Plan, more: Iterable[str] = ()) -> str:
    """The command that repeats a run."""
    return " ".join(("./run simulate --workload", workload, "--seed", str(seed), *plan.words, *more))
