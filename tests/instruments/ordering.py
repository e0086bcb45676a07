"""What the processes of the campaign `order` do, and their files: each says what it handled when.

The files are outside of the server, and a line is in the kernel's hands before the handler goes on: kill -9 loses none.
"""

import os
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from consumer.outcomes import Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared import Priority
from shared.concurrency import Delivery, Queue, Session
from tests.campaigns.checkers.order import Note
from tests.instruments.processes import report

_AT_ONCE = 30


async def put_in_order(url: str, name: str, count: int, keys: int, part: int) -> None:
    """Put numbers in order, each of the key that its rest names; says `end` when all are in.

    A key has a share and a priority: those of its rest.
    """
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put_many(
            range(count),
            key=lambda number: f"{part}-{number % keys}",
            share=lambda number: f"share-{rest}" if (rest := number % keys % 7) else None,
            priority=lambda number: Priority(number % keys % 3),
        )
    report("end")


async def handle_in_order(url: str, name: str, ttl: float, directory: str, failing: float) -> None:
    """Handle messages until the queue is shut down, and note when each begins and ends; some fail."""
    file = os.open(f"{directory}/{os.getpid()}-{time.monotonic_ns()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    chance = random.Random()  # noqa: S311  # no secret

    def note(what: str, delivery: Delivery[int]) -> None:
        os.write(file, f"{what} {delivery.key} {delivery.item} {time.monotonic_ns()}\n".encode())

    async def handle(delivery: Delivery[int]) -> None:
        note("began", delivery)
        if chance.random() < failing:
            note("failed", delivery)
            raise Retry(reason="this attempt fails")
        note("did", delivery)

    async with Session.open(url, ttl=ttl) as session:
        rules = {int: Rules(attempts=100, backoff=Backoff(first=0.001, longest=0.01))}
        worker = Worker(Queue(session, name, int), handle, concurrency=_AT_ONCE, rules=rules)
        report("ready")
        await worker.run()
    report("end")


def read_notes(directory: Path) -> Iterator[Note]:
    """What the files say; a line that was not written to its end by a process that was killed does not count."""
    for path in sorted(directory.iterdir()):
        for line in path.read_text().split("\n")[:-1]:
            what, key, number, at = line.split()
            yield Note(int(at), what, key, int(number), path.name)


def missing(notes: Iterable[Note], count: int, keys: int, parts: int) -> set[tuple[int, int]]:
    """Which numbers of which part nobody has done under their key."""
    done = {
        (int(note.key.partition("-")[0]), note.number)
        for note in notes
        if note.what == "did" and note.key.endswith(f"-{note.number % keys}")
    }
    return {(part, number) for part in range(parts) for number in range(count)} - done
