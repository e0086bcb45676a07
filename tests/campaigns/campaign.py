"""Campaign: a fleet at a real server, faults that strike it, and what is asked of the run."""

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from shared.concurrency import Queue, QueueStatistics, Session
from shared.local.embedded import EmbeddedServer
from tests.campaigns.faults.faults import Fault, crashes, cuts, kills, memory, orders, restarts, stops
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL, Fleet
from tests.campaigns.gauges import Gauges
from tests.campaigns.length import Length
from tests.campaigns.striking import strike
from tests.campaigns.verdict import Course, Verdict, judge
from tests.instruments.durable import DurableServer
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

MAXSIZE: Final = 500
PRODUCERS: Final = 2
CONSUMERS: Final = 3


@dataclass(frozen=True)
class Campaign:
    """What strikes, how often, and on what."""

    says: str
    faults: tuple[Fault, ...]
    pace: float
    """Seconds between two strikes of each fault."""
    is_durable: bool = False
    """Whether the server keeps on disk what it answered."""
    spares: bool = False
    """Whether the first producer and the first consumer live on, for their memory to be watched."""
    rest: float = 0.0
    """Seconds that a producer rests behind each hundred messages."""


CAMPAIGNS: Final = {
    "kills": Campaign("F1: producers and consumers are killed with -9", (kills,), 0.15),
    "stops": Campaign("F2: they stand still for 1.5 to 5 times to live", (stops,), 0.3),
    "restarts": Campaign("F3: the server ends in order and starts again", (restarts,), 2.0, is_durable=True),
    "crashes": Campaign("F4: the server is killed with -9 and starts again", (crashes,), 2.0, is_durable=True),
    "cuts": Campaign("F6: connections are cut, refused, frozen, or swallow bytes", (cuts,), 1.0),
    "memory": Campaign("F11: the server's memory is full for a while", (memory,), 1.5),
    "orders": Campaign("F15: scripts are flushed, clients killed, the server pauses", (orders,), 0.7),
    "soak": Campaign(
        "F18: all of these at random, and what grows is measured",
        (kills, stops, crashes, cuts, memory, orders), 5.0, is_durable=True, spares=True, rest=0.2,
    ),
}  # fmt: skip


async def run(campaign: Campaign, length: Length, seed: int, folder: Path) -> Verdict:
    """Run a campaign to its end, and judge it."""
    began = time.monotonic()
    name = f"c-{secrets.token_hex(4)}"
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        server = (DurableServer if campaign.is_durable else EmbeddedServer)(folder / "server")
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(server.url, folder))
        session = await stack.enter_async_context(Session.open(server.url, ttl=10 * TTL))
        queue = Queue(session, name, tuple[int, int], maxsize=MAXSIZE, max_crashes=None)
        await queue.qsize()
        client = await stack.enter_async_context(Redis.from_url(server.url))
        # The proxy costs more than the server: only who needs it pays for it.
        fleet = Fleet(
            stack,
            proxy.url if cuts in campaign.faults else server.url,
            name,
            records,
            spares=campaign.spares,
            rest=campaign.rest,
        )
        gauges = Gauges(client, name, fleet.spared, records)
        scene = Scene(fleet, server, proxy, random.Random(seed), campaign.pace)  # noqa: S311  # no secret
        await fleet.start(PRODUCERS, CONSUMERS)
        async with gauges.watching():
            await strike(campaign.faults, length, scene, lambda: gauges.put_total)
            await fleet.end(fleet.producers, 180.0)
            await until(queue.statistics, _is_at_rest, 180.0)
        await fleet.end(fleet.consumers, 120.0)
        return await judge(client, name, records, gauges, Course(scene.struck, time.monotonic() - began, MAXSIZE))


def _is_at_rest(now: QueueStatistics) -> bool:
    return now.pending + now.leased + now.delayed + now.puts_waiting == 0
