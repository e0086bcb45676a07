"""WRONG, and often taught: readers lock only their counter, and the writer locks something else.

The counter is right at every moment, and nothing checks it: a reader enters while the writer is inside.
"""

import asyncio

from examples.readers_writers.record import Record


class TaughtWrong:
    """A counter of readers under one lock; the writer under another."""

    def __init__(self) -> None:
        """Begin with nobody inside."""
        self.readers = 0
        self.counting = asyncio.Lock()
        self.writing = asyncio.Lock()

    async def read(self, record: Record) -> None:
        """Read the record."""
        async with self.counting:
            self.readers += 1
        await record.read()  # nothing keeps the reader out
        async with self.counting:
            self.readers -= 1

    async def write(self, record: Record) -> None:
        """Write the record."""
        async with self.writing:
            await record.write()


async def main() -> None:
    """Ten readers and two writers, ten times each."""
    lease, record = TaughtWrong(), Record()

    async def reader() -> None:
        for _ in range(10):
            await lease.read(record)
            await asyncio.sleep(0.001)

    async def writer() -> None:
        for _ in range(10):
            await lease.write(record)

    await asyncio.gather(*(reader() for _ in range(10)), *(writer() for _ in range(2)))
    print("a reader was inside a write:", record.torn > 0)


if __name__ == "__main__":
    asyncio.run(main())
