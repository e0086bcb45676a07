"""BulkPut: one `put_many`, with two portions under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry, portions
from shared.concurrency.queues.puts.lane import PutLane

T = TypeVar("T")


class BulkPut(Generic[T]):
    """Puts items in order, in portions, and counts how many went in."""

    def __init__(self, lane: PutLane, make: Callable[[T], OutgoingEntry]) -> None:
        """`make` encodes an item."""
        self._lane = lane
        self._make = make
        self._under_way: deque[Batch] = deque()
        self._admitted = 0

    async def put(self, items: Iterable[T]) -> None:
        """Put them; what is raised says how many went in: a CancelledError by its text, an error by a note."""
        try:
            await self._put(items)
        except asyncio.CancelledError:
            await self._lane.withdraw(self._under_way)
            raise asyncio.CancelledError(f"put_many was cancelled: {self._count()} messages went in") from None
        except Exception as error:
            error.add_note(f"put_many: {self._count()} messages went in")
            raise

    async def _put(self, items: Iterable[T]) -> None:
        try:
            for portion in portions(items, self._make):
                self._under_way.append(self._lane.submit(portion, may_wait=True))
                if len(self._under_way) > 1:  # one portion waits at the server while the next one is made
                    await self._first_admitted()
                await _turn_the_loop()
        except Exception:
            # An item is refused or the iterable raised: those before it go in.
            await asyncio.gather(*(asyncio.shield(batch.done) for batch in self._under_way), return_exceptions=True)
            raise
        while self._under_way:
            await self._first_admitted()

    async def _first_admitted(self) -> None:
        """Wait for the oldest portion, and take it off."""
        await asyncio.shield(self._under_way[0].done)
        self._admitted += self._under_way.popleft().admitted

    def _count(self) -> int:
        return self._admitted + sum(batch.admitted for batch in self._under_way)


async def _turn_the_loop() -> None:
    """Once for the lane to write and once for the loop to send: the server works while the next portion is made."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
