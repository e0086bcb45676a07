"""The fleet of a campaign: producers and consumers as OS processes, each started again when it was killed."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.campaigns.fleet_processes import consume, produce
from tests.instruments.processes import Process, running

TTL: Final = 1.0


class Fleet:
    """Producers and consumers at one address."""

    def __init__(
        self,
        stack: AsyncExitStack,
        url: str,
        name: str,
        folder: Path,
        *,
        spares: bool = False,
        **habits: float,
    ) -> None:
        """Begin with nobody. `spares`: nothing strikes the first of each kind; `habits`: see `produce`, `consume`."""
        self._stack = stack
        self._where = (url, name, TTL, str(folder), {"rest": 0.0, "blocks": 0.0, "replicas": 0, "has_keys": 0} | habits)
        self._first = 1 if spares else 0
        self.producers: dict[int, Process] = {}
        self.consumers: dict[int, Process] = {}

    async def start(self, producers: int, consumers: int) -> None:
        """Start so many of each."""
        await asyncio.gather(
            *(self.producer(part) for part in range(producers)), *(self.consumer(number) for number in range(consumers))
        )

    async def producer(self, part: int) -> None:
        """Start the producer of a part, which goes on where the one before it was killed."""
        self.producers[part] = await self._stack.enter_async_context(running(produce, *self._where, part))

    async def consumer(self, number: int) -> None:
        """Start a consumer."""
        self.consumers[number] = await self._stack.enter_async_context(running(consume, *self._where, number))

    def everybody(self) -> list[tuple[dict[int, Process], int]]:
        """Each process that may be struck, as its table and its number."""
        return [
            (table, number) for table in (self.producers, self.consumers) for number in table if number >= self._first
        ]

    def spared(self) -> dict[str, int]:
        """The process ids of those that live on, by what they are called."""
        if not self._first:
            return {}
        tables = {"a producer": self.producers, "a consumer": self.consumers}
        return {what: table[0].pid for what, table in tables.items() if 0 in table}

    async def replace(self, table: dict[int, Process], number: int) -> None:
        """Kill one with -9, and start it again."""
        await table[number].kill()
        await (self.producer if table is self.producers else self.consumer)(number)

    async def end(self, table: dict[int, Process], seconds: float) -> None:
        """Ask all of one kind to end in order, and wait; AssertionError when one has another exit code than 0."""
        for process in table.values():
            await process.said("ready", seconds=seconds)
            process.terminate()
        codes = await asyncio.gather(*(process.ended(seconds) for process in table.values()))
        assert set(codes) == {0}, f"exit codes {codes}"
        table.clear()
