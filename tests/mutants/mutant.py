"""Mutant: one bug, as a tired colleague could write it, and what finds it. The tables are in `seeded/`, by room."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SEEDED: Final = Path(__file__).resolve().parent / "seeded"


class GoneError(Exception):
    """The place of a mutant is not there any more, or not once: the code has changed, and the table has to follow."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    name: str
    breaks: str
    """What is wrong with it, in a line."""
    file: str
    """Which file, from the root of the project."""
    old: str
    """What stands there, exactly once."""
    new: str
    by: str
    """What finds it: a test as pytest names it, or `simulate WORKLOAD SEED [COUNT]`."""

    def applied_to(self, text: str) -> str:
        """The file with the bug.

        :raises GoneError: when its place is not there exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise GoneError(f"{self.name}: {self.file} holds its place {count} times, and not once: write it anew")
        return text.replace(self.old, self.new)


@cache
def mutants() -> dict[str, Mutant]:
    """All of them by name, in the order of the tables."""
    found: dict[str, Mutant] = {}
    for table in sorted(SEEDED.glob("*.toml")):
        for fields in tomllib.loads(table.read_text(encoding="utf-8"))["mutant"]:
            mutant = Mutant(**fields)
            if mutant.name in found:
                raise ValueError(f"two mutants are called {mutant.name}")
            found[mutant.name] = mutant
    return found
