"""The campaign `turns`: many putters wait for room, and come in in their order, whatever is killed and cut off."""

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.campaigns.checkers.bound import over_the_bound
from tests.campaigns.checkers.turns import Turn, out_of_turn
from tests.campaigns.faults.faults import cuts, kills
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL
from tests.campaigns.gauges import Gauges
from tests.campaigns.length import Length
from tests.campaigns.striking import strike
from tests.campaigns.turns_processes import put, take
from tests.instruments.processes import Process, running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

MAXSIZE: Final = 5
PUTTERS: Final = 3


class Putters:
    """The processes that put, each started again when it was killed; nothing strikes the one that takes."""

    def __init__(self, stack: AsyncExitStack, arguments: tuple[object, ...]) -> None:
        """Begin with nobody. `arguments`: of `put`."""
        self._stack = stack
        self._arguments = arguments
        self._processes: dict[int, Process] = {}

    async def start(self, number: int) -> None:
        """Start one."""
        self._processes[number] = await self._stack.enter_async_context(running(put, *self._arguments))

    def everybody(self) -> list[tuple[dict[int, Process], int]]:
        """Each process that may be struck."""
        return [(self._processes, number) for number in self._processes]

    async def replace(self, table: dict[int, Process], number: int) -> None:
        """Kill one with -9, and start it again."""
        await table[number].kill()
        await self.start(number)

    async def end(self) -> None:
        """Ask all to end, and wait."""
        for process in self._processes.values():
            await process.said("ready")
            process.terminate()
        await asyncio.gather(*(process.ended(120.0) for process in self._processes.values()))


@dataclass(frozen=True)
class TurnVerdict:
    """All that is said of one run."""

    seconds: float
    struck: dict[str, int]
    delivered: int
    known: int
    """Of these, those whose put is known to have returned."""
    most_pending: int
    passed: int
    against: tuple[str, ...]
    """What stands against the product; empty for a sound run."""

    def line(self) -> str:
        """The figures in one line."""
        strikes = ", ".join(f"{count} {word}" for word, count in sorted(self.struck.items())) or "no fault"
        return (
            f"{self.delivered:,} messages, {strikes}, {self.seconds:,.0f} s: {self.passed} passed another, "
            f"at most {self.most_pending} pending of {MAXSIZE}, {len(self.against)} findings"
        )


async def run_turns(length: Length, seed: int, folder: Path) -> TurnVerdict:
    """Run the campaign to its end, and judge it."""
    began, name = time.monotonic(), f"c-{secrets.token_hex(4)}"
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(folder / "s")
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(server.url, folder))
        client = await stack.enter_async_context(Redis.from_url(server.url))
        session = await stack.enter_async_context(Session.open(server.url, ttl=10 * TTL))
        queue = Queue(session, name, str, maxsize=MAXSIZE, max_crashes=None)
        await queue.qsize()
        putters = Putters(stack, (proxy.url, name, TTL, str(records)))
        await asyncio.gather(*(putters.start(number) for number in range(PUTTERS)))
        await stack.enter_async_context(running(take, proxy.url, name, TTL, str(records)))
        gauges = Gauges(client, name, dict, records)
        scene = Scene(putters, server, proxy, random.Random(seed), 1.0)  # noqa: S311  # no secret
        async with gauges.watching():
            await strike((kills, cuts), length, scene, lambda: gauges.put_total)
            await putters.end()
            await until(queue.statistics, lambda now: not now.pending + now.leased + now.delayed + now.puts_waiting)
        return _judge(records, gauges, dict(scene.struck), time.monotonic() - began)


def _judge(records: Path, gauges: Gauges, struck: dict[str, int], seconds: float) -> TurnVerdict:
    asked: dict[str, float] = {}
    known: dict[str, float] = {}
    for path in records.glob("puts-*"):
        for line in path.read_text().split("\n")[:-1]:
            word, item, at = line.split()
            (asked if word == "asks" else known)[item] = int(at)
    # What came twice was given back meanwhile: its first delivery counts.
    delivered = dict.fromkeys((records / "taken").read_text().split("\n")[:-1])
    turns = [Turn(item, asked.get(item, inf), known.get(item, inf)) for item in delivered]
    passed, over = out_of_turn(turns), over_the_bound(gauges.pending, MAXSIZE)
    against = {
        f"{len(passed)} were passed by one that came later: {passed[:2]}": passed,
        f"more than {MAXSIZE} were pending: {over[:3]}": over,
        f"{len(known.keys() - delivered.keys())} are lost": known.keys() - delivered.keys(),
        f"{len(delivered.keys() - asked.keys())} come from nowhere": delivered.keys() - asked.keys(),
    }
    return TurnVerdict(
        seconds, struck, len(delivered), len(known.keys() & delivered.keys()), gauges.most_pending, len(passed),
        tuple(text for text, holds in against.items() if holds),
    )  # fmt: skip
