"""Right, in one process: a newcomer checks who is inside and who waits. Phase-fair: none can starve."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.readers_writers.record import Record


class ReadersWriters:
    """Many read at once, or one writes.

    Readers that come after a waiting writer wait behind it; then all of them go in together.
    """

    def __init__(self) -> None:
        """Begin with nobody inside."""
        self._readers = 0
        self._writing = False
        self._waiting_readers: list[asyncio.Future[None]] = []
        self._waiting_writers: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Read, together with others."""
        if self._writing or self._waiting_writers:
            await self._wait(self._waiting_readers)
        else:
            self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            self._let_in(readers_first=False)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Write, alone."""
        if self._writing or self._readers:
            await self._wait(self._waiting_writers)
        else:
            self._writing = True
        try:
            yield
        finally:
            self._writing = False
            self._let_in(readers_first=True)

    async def _wait(self, line: "list[asyncio.Future[None]] | deque[asyncio.Future[None]]") -> None:
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted and cancelled at once: the place goes back
                if line is self._waiting_readers:
                    self._readers -= 1
                else:
                    self._writing = False
            else:
                line.remove(turn)
            self._let_in(readers_first=line is self._waiting_writers)
            raise

    def _let_in(self, *, readers_first: bool) -> None:
        """Admit those who wait. The one that leaves takes the places for them, so none can come between."""
        if self._writing:
            return
        if self._waiting_readers and (readers_first or not self._waiting_writers):
            turns, self._waiting_readers[:] = self._waiting_readers[:], []
            self._readers += len(turns)
            for turn in turns:
                turn.set_result(None)
        elif self._waiting_writers and not self._readers:
            self._writing = True
            self._waiting_writers.popleft().set_result(None)


async def main() -> None:
    """Ten readers and two writers, ten times each."""
    lease, record = ReadersWriters(), Record()

    async def reader() -> None:
        for _ in range(10):
            async with lease.read():
                await record.read()
            await asyncio.sleep(0.001)

    async def writer() -> None:
        for _ in range(10):
            async with lease.write():
                await record.write()

    await asyncio.gather(*(reader() for _ in range(10)), *(writer() for _ in range(2)))
    print("a reader was inside a write:", record.torn > 0)


if __name__ == "__main__":
    asyncio.run(main())
