"""Campaign: a fleet at a real server, faults that strike it, and what is asked of the run."""

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

from shared.concurrency import Queue, QueueStatistics, Session
from shared.local.embedded import EmbeddedServer
from tests.campaigns.faults.faults import Fault, crashes, cuts, kills, memory, oblivion, orders, restarts, stops
from tests.campaigns.faults.machine import clock, crashes_that_forget, disk, power, tails
from tests.campaigns.faults.scene import Scene
from tests.campaigns.faults.starving import descriptors, throttles
from tests.campaigns.fleet import TTL, Fleet
from tests.campaigns.fleet_processes import MAXSIZE
from tests.campaigns.gauges import Gauges
from tests.campaigns.length import Length
from tests.campaigns.pulse import NETWORK, beat
from tests.campaigns.remains import count_remains, left_behind
from tests.campaigns.servers.shim import why_no_shim
from tests.campaigns.servers.shimmed import ShimmedServer, Sync
from tests.campaigns.striking import strike
from tests.campaigns.verdict import Course, Verdict, judge
from tests.instruments.durable import DurableServer
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

PRODUCERS: Final = 2
CONSUMERS: Final = 3
_FORGETS: Final = 2.0
"""Seconds: what `everysec` may lose, as the server documents it; less what its machine starves it for."""


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
    behind_shim: Sync | None = None
    """A server whose machine can be struck, and when it syncs."""
    forgets: float = 0.0
    """Seconds of acknowledgements that a strike may take back; more is found against the product."""
    recovers: float = 5.0
    """Seconds within which messages are handled again when a strike is over."""
    blocks: float = 0.0
    """Of so many handlings each blocks the loop of its consumer for three times to live."""
    has_keys: bool = False
    """Whether each message has a key, so that the order of each is judged. Whoever is stopped may end one late."""

    def why_not(self) -> str | None:
        """The reason why it cannot run here, or None."""
        return why_no_shim() if self.behind_shim else None


CAMPAIGNS: Final = {
    "kills": Campaign("F1: producers and consumers are killed with -9", (kills,), 0.15),
    "stops": Campaign("F2: they stand still for 1.5 to 5 times to live", (stops,), 0.3),
    "restarts": Campaign("F3: the server ends in order and starts again", (restarts,), 2.0, is_durable=True),
    "crashes": Campaign("F4: the server is killed with -9 and starts again", (crashes,), 2.0, is_durable=True),
    "crashes-everysec": Campaign(
        "F4: the same with `everysec`", (crashes_that_forget,), 2.0, behind_shim="everysec", forgets=_FORGETS,
    ),
    "volatile": Campaign("F4: it keeps nothing on disk, and comes back empty", (oblivion,), 5.0, forgets=inf),
    "cuts": Campaign("F6: connections are cut, refused, frozen, or swallow bytes", (cuts,), 1.0),
    "memory": Campaign("F11: the server's memory is full for a while", (memory,), 1.5),
    "orders": Campaign("F15: scripts are flushed, clients killed, the server is busy, idle clients are closed", (orders,), 0.7),
    "power": Campaign("F5: the machine's power fails; `appendfsync always`", (power,), 2.0, behind_shim="always"),
    "power-everysec": Campaign(
        "F5: the same with `everysec`, which forgets its last moments", (power,), 3.0, behind_shim="everysec", forgets=_FORGETS,
    ),
    "disk": Campaign("F12: the disk is full; `appendfsync always`: the server ends", (disk,), 2.0, behind_shim="always"),
    "disk-everysec": Campaign("F12: the disk is full; `everysec`: it refuses", (disk,), 2.0, behind_shim="everysec"),
    "steps": Campaign("F13: the server's clock jumps and drifts", (clock,), 1.0, behind_shim="everysec"),
    "tails": Campaign(
        "F14: its file ends in half a record, lacks bytes, or ends in rubbish", (tails,), 2.0, behind_shim="always", forgets=_FORGETS,
    ),
    "starved": Campaign(
        "F16: no time, no descriptors, and handlers that block the loop", (throttles, descriptors), 1.5, blocks=0.0005,
    ),
    "keys": Campaign(
        "each key in order and one at a time, whatever is killed, cut off and crashes",
        (kills, cuts, crashes), 1.5, is_durable=True, has_keys=True,
    ),
    "soak": Campaign(
        "F18: all faults of processes, server and network at random, and what grows is measured",
        (kills, stops, crashes, cuts, memory, orders), 5.0, is_durable=True, spares=True, rest=0.2, recovers=15.0,
    ),
}  # fmt: skip


async def run(campaign: Campaign, length: Length, seed: int, folder: Path) -> Verdict:
    """Run a campaign to its end, and judge it."""
    began = time.monotonic()
    name = f"c-{secrets.token_hex(4)}"
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        server = _server(campaign, folder / "server")
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
            blocks=campaign.blocks,
            has_keys=campaign.has_keys,
        )
        gauges = Gauges(client, name, fleet.spared, records)
        scene = Scene(fleet, server, proxy, random.Random(seed), campaign.pace)  # noqa: S311  # no secret
        before = await count_remains(client, name)
        if cuts in campaign.faults:  # then all goes through this process
            await stack.enter_async_context(beat(records, NETWORK))
        await fleet.start(PRODUCERS, CONSUMERS)
        async with gauges.watching():
            await strike(campaign.faults, length, scene, lambda: gauges.put_total)
            await fleet.end(fleet.producers, 180.0)
            await until(queue.statistics, _is_at_rest, 180.0)
        await fleet.end(fleet.consumers, 120.0)
        (records / "strikes").write_text("".join(f"{each}\n" for each in scene.strikes))
        course = Course(
            scene.struck, time.monotonic() - began, MAXSIZE, scene.healed, campaign.recovers, scene.strikes, campaign.forgets,
            await left_behind(before, client, name, queue),
        )  # fmt: skip
        return await judge(client, name, records, gauges, course)


def _server(campaign: Campaign, folder: Path) -> EmbeddedServer:
    if campaign.behind_shim:
        return ShimmedServer(folder, campaign.behind_shim)
    return (DurableServer if campaign.is_durable else EmbeddedServer)(folder)


def _is_at_rest(now: QueueStatistics) -> bool:
    return now.pending + now.leased + now.delayed + now.puts_waiting == 0
