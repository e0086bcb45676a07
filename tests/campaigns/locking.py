"""The campaign `locks`: readers and writers are killed and stopped; their stays must be linearizable."""

import asyncio
import random
import secrets
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer
from tests.campaigns.checkers.linear import READERS_WRITERS, is_linearizable
from tests.campaigns.faults.faults import kills, stops
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL
from tests.campaigns.length import Length
from tests.campaigns.locking_processes import contend
from tests.campaigns.stays import longest_wait, operations, read_stays
from tests.campaigns.striking import strike
from tests.instruments.processes import Process, running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

PROCESSES: Final = 3
TASKS: Final = 2
_PATIENCE: Final = 15.0
"""Nobody may wait longer: a dead holder's time to live, a stopped one's, and what stands before."""


class Contenders:
    """The processes, each started again when it was killed."""

    def __init__(self, stack: AsyncExitStack, url: str, base: str, folder: Path) -> None:
        """Begin with nobody."""
        self._stack = stack
        self._where = (url, base, TTL, str(folder))
        self._processes: dict[int, Process] = {}

    async def start(self, number: int) -> None:
        """Start one."""
        process = running(contend, *self._where, TASKS)
        self._processes[number] = await self._stack.enter_async_context(process)

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


@dataclass(frozen=True)
class LockVerdict:
    """All that is said of one run."""

    seconds: float
    struck: dict[str, int]
    stays: int
    names: int
    lost: int
    """Stays that ended with their lease: of processes that were killed or stopped inside."""
    longest_wait: float
    against: tuple[str, ...]
    """What stands against the product; empty for a sound run."""

    def line(self) -> str:
        """The figures in one line."""
        strikes = ", ".join(f"{count} {word}" for word, count in sorted(self.struck.items())) or "no fault"
        return (
            f"{self.stays:,} stays under {self.names:,} leases, {strikes}, {self.seconds:,.0f} s: {self.lost} lost, "
            f"longest wait {self.longest_wait:.1f} s, {len(self.against)} findings"
        )


async def run_locks(length: Length, seed: int, folder: Path) -> LockVerdict:
    """Run the campaign to its end, and judge it."""
    began, base = time.monotonic(), f"c-{secrets.token_hex(4)}"
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(folder / "server")
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(server.url, folder))
        client = await stack.enter_async_context(Redis.from_url(server.url))
        contenders = Contenders(stack, server.url, base, records)
        await asyncio.gather(*(contenders.start(number) for number in range(PROCESSES)))
        scene = Scene(contenders, server, proxy, random.Random(seed), 0.5)  # noqa: S311  # no secret
        await strike((kills, stops), length, scene, lambda: inf)
        await contenders.kill()

        await until(lambda: _connections(client), lambda count: count == 0, 30.0)
        return _judge(records, scene.struck, time.monotonic() - began)


async def _connections(client: Redis) -> int:
    """How many connections there are of sessions."""
    return sum(entry["name"].startswith("weir-") for entry in await client.client_list())


def _judge(records: Path, struck: Counter[str], seconds: float) -> LockVerdict:
    stays = read_stays(records)
    histories = operations(stays)
    broken = [name for name, history in histories.items() if not is_linearizable(history, READERS_WRITERS)]
    waited = longest_wait(stays)
    against = [f"the stays under {name} are not linearizable" for name in broken]
    if waited > _PATIENCE:
        against.append(f"somebody waited for {waited:.1f} s")
    lost = sum(stay.is_lost for stay in stays)
    return LockVerdict(seconds, dict(struck), len(stays), len(histories), lost, waited, tuple(against))
