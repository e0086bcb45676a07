"""What the processes of the test of names do, and its referee: a file of each says what it put and handled when.

The files are outside of the server, and a line is in the kernel's hands before the process goes on: kill -9 loses none.
"""

import asyncio
import contextlib
import math
import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from shared.concurrency import Queue, Session, StaleDelivery
from tests.instruments.processes import report

_AT_ONCE = 20
_NAMES = 20


def _opened(directory: str) -> int:
    return os.open(f"{directory}/{os.getpid()}-{time.monotonic_ns()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)


def _note(file: int, what: str, number: int, name: str) -> None:
    os.write(file, f"{what} {number} {name} {time.monotonic_ns()}\n".encode())


async def put_names(url: str, name: str, first: int, count: int, directory: str) -> None:
    """Put numbers under a few names, several at once, each in the place of the one that waits; then say `end`."""
    file, numbers = _opened(directory), iter(range(first, first + count))
    chance = random.Random(first)  # noqa: S311  # no secret

    async def put_some(queue: Queue[int]) -> None:
        for number in numbers:
            word = f"n{chance.randrange(_NAMES)}"
            calm = chance.choice([None, None, 0.02])
            _note(file, "puts", number, word)
            await queue.put_unique(number, word, replace=True, key=word, calm=calm)
            _note(file, "put", number, word)

    async with Session.open(url, ttl=1.0) as session:
        queue = Queue(session, name, int)
        await asyncio.gather(*(put_some(queue) for _ in range(4)))
    report("end")


async def forward_names(url: str, group: str, ttl: float, directory: str) -> None:
    """Put the numbers of the queue `first` into `second` under a few names with acknowledgements, until a shutdown."""
    file = _opened(directory)
    chance = random.Random(os.getpid())  # noqa: S311  # no secret

    async def forward(session: Session) -> None:
        second = Queue(session, "second", int, group=group)
        async for delivery in Queue(session, "first", int, group=group, max_crashes=None):
            word = f"n{chance.randrange(_NAMES)}"
            calm = chance.choice([None, None, 0.02])
            delivery.effects.put_unique(second, delivery.item, word, replace=True, key=word, calm=calm)
            _note(file, "puts", delivery.item, word)
            await asyncio.sleep(0.003)  # it works: who is killed has some in hand
            with contextlib.suppress(StaleDelivery):
                await delivery.ack()
                _note(file, "put", delivery.item, word)

    async with Session.open(url, ttl=ttl) as session:
        report("ready")
        await asyncio.gather(*(forward(session) for _ in range(4)))
    report("end")


async def handle_names(url: str, name: str, ttl: float, directory: str, group: str | None = None) -> None:
    """Handle messages until the queue is shut down, and note when each begins and ends."""
    file = _opened(directory)

    async def handle(queue: Queue[int]) -> None:
        async for delivery in queue:
            async with delivery as number:
                _note(file, "began", number, str(delivery.key))
                await asyncio.sleep(0)
                _note(file, "did", number, str(delivery.key))

    async with Session.open(url, ttl=ttl) as session:
        queue = Queue(session, name, int, group=group)
        report("ready")
        await asyncio.gather(*(handle(queue) for _ in range(_AT_ONCE)))
    report("end")


@dataclass
class _Number:
    """One number that was put."""

    name: str = ""
    puts: float = math.inf
    put: float = math.inf
    began: list[float] = field(default_factory=list)
    did: list[float] = field(default_factory=list)

    def is_handled_since(self, moment: float) -> bool:
        """Whether it was begun after a moment, and done."""
        return any(moment <= began <= did for began in self.began for did in self.did)


class Verdict:
    """What the files say."""

    def __init__(self, directory: Path) -> None:
        """Read them; a line that was not written to its end by a process that was killed does not count."""
        self._numbers: defaultdict[int, _Number] = defaultdict(_Number)
        self._of_names: defaultdict[str, list[_Number]] = defaultdict(list)
        for path in directory.iterdir():
            for line in path.read_text().split("\n")[:-1]:
                what, number, name, at = line.split()
                self._read(what, self._numbers[int(number)], name, int(at))
        for each in self._numbers.values():
            self._of_names[each.name].append(each)

    @staticmethod
    def _read(what: str, number: _Number, name: str, at: int) -> None:
        number.name = name
        if what in ("puts", "put"):
            setattr(number, what, at)
        else:
            getattr(number, what).append(at)

    def lost(self) -> list[int]:
        """Numbers that were put, and nothing as new was begun, and done, after their puts had begun."""
        found = []
        for number, one in self._numbers.items():
            if one.put < math.inf:
                # One whose put had not returned yet is as new.
                others = [other for other in self._of_names[one.name] if other.put >= one.puts]
                if not any(other.is_handled_since(one.puts) for other in others):
                    found.append(number)
        return sorted(found)

    def counts(self) -> tuple[int, int]:
        """How many were put, and how many of them were handled."""
        return (
            sum(one.put < math.inf for one in self._numbers.values()),
            sum(bool(one.did) for one in self._numbers.values()),
        )
