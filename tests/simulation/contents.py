"""Contents: which messages a queue holds, as the server says; their bodies are numbers, or hold one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.simulation.network import Control

_LENGTH: Final = slice(49, 52)
_HEADERS: Final = 52
"""Where an entry says how long its headers are, and where they begin."""
_TAG: Final = 16
"""How long the tag of an entry is that stands at a gate, behind the name of that."""
_NUMBER: Final = re.compile(rb"\d+")
_LISTS: Final = ("pending", "released", "returned", "suspects")


@dataclass(frozen=True)
class Contents:
    """The messages of a queue."""

    there: set[int]
    """Those that are to be delivered."""
    held: set[int]
    """Those in the hands of a session."""
    dead: set[int]
    """Dead letters."""
    waiting: set[int]
    """Those of puts that wait in line."""
    done: set[int]
    """Those whose effect is written."""
    deferred: set[int]
    """Those of which a clock has a job."""

    @property
    def admitted(self) -> set[int]:
        """All but those in line, and those that left nothing behind."""
        return self.there | self.held | self.dead | self.done


def contents(control: Control, keys: Mapping[str, bytes], effects: str) -> Contents:
    """Look; `effects`: a hash that counts the effects of each."""
    calls = control.calls
    leased, handed, dead, bodies, done, jobs, behind, passed, delayed, ready, gated, *lists = calls(
        ("KEYS", keys["pending"].replace(b"pending", b"leased:*")),
        ("HVALS", keys["handed"]),
        ("HVALS", keys["dead"]),
        ("HVALS", keys["bodies"]),
        ("HKEYS", effects),
        ("ZRANGE", keys["pending"].replace(b"pending", b"clock"), 0, -1),
        ("HVALS", keys["behind"]),
        ("HVALS", keys["passed"]),
        ("ZRANGE", keys["delayed"], 0, -1),
        ("ZRANGE", keys["ready"], 0, -1),
        ("ZRANGE", keys["gated"], 0, -1),
        *(("LRANGE", keys[word], 0, -1) for word in _LISTS),
    )
    held = [entry for entries in calls(*(("HVALS", key) for key in leased)) for entry in entries]
    there = [entry for entries in (behind, delayed, ready, *lists) for entry in entries]
    there += [entry.partition(b" ")[2] for entry in passed]
    there += [entry.partition(b" ")[2][_TAG:] for entry in gated]
    return Contents(
        there=set(map(number_of, there)),
        held={number_of(entry) for entry in (*held, *handed) if entry},
        dead={number_of(letter.partition(b"\n")[2]) for letter in dead},
        # Without the stamp, which an entry gets when it is admitted.
        waiting={number_of(b"0" * 16 + body.partition(b" ")[2]) for body in bodies if not body.startswith(b"*")},
        done=set(map(int, done)),
        deferred={int(job.rpartition(b"n")[2]) for job in jobs},
    )


def number_of(entry: bytes) -> int:
    """The number in the body of an entry."""
    found = _NUMBER.search(entry, _HEADERS + int(entry[_LENGTH]))
    if found is None:
        raise ValueError(f"no number in {entry!r}")
    return int(found[0])
