"""The campaign `sentinel`: servers fail over and processes are killed, under the load of real processes."""

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from shared.concurrency import Queue, QueueStatistics, Session
from shared.local.embedded import EmbeddedServer
from tests.campaigns.faults.faults import kills, to_its_end
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL, Fleet
from tests.campaigns.fleet_processes import MAXSIZE
from tests.campaigns.gauges import Gauges
from tests.campaigns.length import Length
from tests.campaigns.remains import left_behind
from tests.campaigns.striking import strike
from tests.campaigns.verdict import Course, Verdict, judge
from tests.instruments.failing import FAILURES
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until
from tests.instruments.watched import WatchedServers

SAYS: Final = "F9: servers of Sentinel fail over, and processes are killed; `replicas=2` of two"
_KINDS: Final = ("kill", "stop", "hand over", "hand over in step")
_NAMED: Final = 15.0
"""Seconds: a second until a server counts as down, an election, and what a busy machine adds."""
_BEHIND: Final = 1_000_000_000
"""Nanoseconds of acknowledgements that no replica has: those wait for none, and their messages come again."""


class Failovers:
    """Servers that fail, one after the other."""

    def __init__(self, watched: WatchedServers, gauges: Gauges) -> None:
        """`gauges` look at the one that leads."""
        self._watched = watched
        self._gauges = gauges

    async def look_there(self) -> None:
        """Have the gauges look at the server that leads now."""
        await self._gauges.client.aclose()
        self._gauges.client = Redis(port=(await asyncio.to_thread(self._watched.primary)).port)

    async def fail(self, scene: Scene) -> None:
        """F9: the server that leads is killed, stopped or told to hand over; another leads, and it follows that one."""
        while True:
            await asyncio.sleep(scene.pause())
            kind = scene.chance.choice(_KINDS)
            with scene.strike(f"failovers by {kind}") as damage:
                damage.kept = time.monotonic_ns() - _BEHIND
                await to_its_end(self._fail(kind))

    async def _fail(self, kind: str) -> None:
        failure, heal = await FAILURES[kind](self._watched)
        await failure.until_another_leads()
        await asyncio.to_thread(heal)
        await failure.until_all_follow()
        await self.look_there()


async def run_sentinel(length: Length, seed: int, folder: Path) -> Verdict:
    """Run the campaign to its end, and judge it: acknowledgements may be forgotten, puts and effects may not."""
    began, name = time.monotonic(), f"c-{secrets.token_hex(4)}"
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        watched = WatchedServers(folder / "watched")
        await asyncio.to_thread(watched.__enter__)
        stack.callback(watched.stop)
        session = await stack.enter_async_context(Session.open(watched.url, ttl=10 * TTL))
        queue = Queue(session, name, tuple[int, int], maxsize=MAXSIZE, max_crashes=None)
        await queue.qsize()
        fleet = Fleet(stack, watched.url, name, records, replicas=2)
        gauges = Gauges(Redis(port=watched.servers[0].port), name, fleet.spared, records)
        failovers = Failovers(watched, gauges)
        # No fault here reaches the two: the servers fail by themselves, and nothing goes through the proxy.
        server = EmbeddedServer(folder / "server")
        proxy = await stack.enter_async_context(Proxy(f"redis://127.0.0.1:{watched.servers[0].port}", folder))
        scene = Scene(fleet, server, proxy, random.Random(seed), 2.0)  # noqa: S311  # no secret
        await fleet.start(2, 3)
        async with gauges.watching():
            await strike((failovers.fail, kills), length, scene, lambda: gauges.put_total)
            await fleet.end(fleet.producers, 180.0)
            await until(queue.statistics, _is_at_rest, 180.0)
        await fleet.end(fleet.consumers, 120.0)
        await failovers.look_there()
        async with gauges.client as client:
            own = {"sessions at the queue": 1, "keys of sessions": 1, "connections of sessions": 2}
            course = Course(
                scene.struck, time.monotonic() - began, MAXSIZE, scene.healed, _NAMED, scene.strikes,
                remains=await left_behind(own, client, name, queue),
            )  # fmt: skip
            return _keeps_all(await judge(client, name, records, gauges, course))


def _keeps_all(verdict: Verdict) -> Verdict:
    """Both replicas had each put before it returned: whatever a failover explains, nothing is lost."""
    lost = f"{verdict.forgotten.count} messages are gone that both replicas had"
    return replace(verdict, against=(*verdict.against, lost)) if verdict.forgotten.count else verdict


def _is_at_rest(now: QueueStatistics) -> bool:
    return now.pending + now.leased + now.delayed + now.puts_waiting == 0
