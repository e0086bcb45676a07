"""Contenders: the processes of a lock campaign, and how one is stopped while it writes."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.campaigns.faults.faults import Fault
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL
from tests.campaigns.locking_processes import contend
from tests.instruments.processes import Process, running

_TRIES: Final = 300


class Contenders:
    """The processes, each started again when it was killed."""

    def __init__(self, stack: AsyncExitStack, arguments: tuple[object, ...]) -> None:
        """Begin with nobody. `arguments`: of `contend`."""
        self._stack = stack
        self._arguments = arguments
        self._processes: dict[int, Process] = {}

    async def start(self, number: int) -> None:
        """Start one."""
        self._processes[number] = await self._stack.enter_async_context(running(contend, *self._arguments))

    def everybody(self) -> list[tuple[dict[int, Process], int]]:
        """Each process that may be struck."""
        return [(self._processes, number) for number in self._processes]

    async def replace(self, table: dict[int, Process], number: int) -> None:
        """Kill one with -9, and start it again."""
        await table[number].kill()
        await self.start(number)

    async def kill(self) -> None:
        """Kill all."""
        await asyncio.gather(*(process.kill() for process in self._processes.values()))


def writers(contenders: Contenders, records: Path) -> Fault:
    """F2: a process stands still for 1.5 to 5 times to live, where it can be had while it writes."""

    async def stop(scene: Scene) -> None:
        while True:
            await asyncio.sleep(scene.pause())
            table, number = scene.chance.choice(contenders.everybody())
            process = table[number]
            with scene.strike("stops", process.pid):
                await _have_it_write(process, records)
                process.stop()
                try:
                    await asyncio.sleep(TTL * scene.chance.uniform(1.5, 5.0))
                finally:
                    process.cont()

    return stop


async def _have_it_write(process: Process, records: Path) -> None:
    """Stop it while it writes, or at some moment where it does not write for long."""
    for _ in range(_TRIES):
        process.stop()
        if _is_writing(records, process.pid):
            return
        process.cont()
        await asyncio.sleep(0.003)


def _is_writing(records: Path, pid: int) -> bool:
    """Whether the last lines of a process that stands still say that it is inside, and writes."""
    for path in records.glob(f"stays-{pid}-*"):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 300))
            lines = [line.split() for line in file.read().split(b"\n")[:-1]]
        words = [line[0] for line in lines[-2:] if line]
        if words == [b"write", b"in"]:
            return True
    return False
