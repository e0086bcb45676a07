"""Cluster campaigns: the slot of a queue moves, and the master that serves it is killed, under load."""

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.crc import key_slot

from shared.concurrency import Queue, QueueStatistics, Session
from tests.campaigns.faults.faults import kills, to_its_end
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL, Fleet
from tests.campaigns.fleet_processes import MAXSIZE
from tests.campaigns.gauges import Gauges
from tests.campaigns.length import Length
from tests.campaigns.remains import left_behind
from tests.campaigns.striking import strike
from tests.campaigns.verdict import Course, Verdict, judge
from tests.instruments.nodes import SLOTS, Nodes
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

_ELECTED: Final = 15.0
"""Seconds: a node timeout of one, an election, and what a busy machine adds."""


@dataclass(frozen=True)
class ClusterCampaign:
    """What strikes, and what producers and consumers ask for."""

    says: str
    strikes: str
    """`moves` or `masters`."""
    replicas: int = 0
    forgets: float = 0.0
    """Seconds of acknowledgements that a master takes with it."""


CLUSTERS: Final = {
    "cluster-moves": ClusterCampaign("F10: the slot of a queue moves, and processes are killed", "moves"),
    "cluster-masters": ClusterCampaign("F10: its master is killed; `replicas=1`", "masters", replicas=1),
    "cluster-async": ClusterCampaign("F10: the same without: what no replica had is lost", "masters", forgets=1.0),
}


class Place:
    """Where a queue lies, and what happens to that node."""

    def __init__(self, nodes: Nodes, name: str, gauges: Gauges) -> None:
        """`gauges` look where the queue lies."""
        self._nodes = nodes
        self._slot = key_slot(name.encode())
        self._gauges = gauges
        self._clients: list[Redis] = []

    def owner(self, asked: int | None = None) -> int:
        """The node that serves the queue."""
        return self._nodes.owner(self._slot, asked)

    def masters(self) -> set[int]:
        """Three nodes that serve something."""
        return {self._nodes.owner(slot) for slot in (0, SLOTS // 2, SLOTS - 1)}

    async def look_there(self) -> None:
        """Have the gauges look at the node that serves the queue now."""
        await self._gauges.client.aclose()
        self._gauges.client = Redis(port=self._nodes.ports[await asyncio.to_thread(self.owner)])

    async def moves(self, scene: Scene) -> None:
        """The slot moves to another master, key by key."""
        while True:
            await asyncio.sleep(scene.pause())
            owner = await asyncio.to_thread(self.owner)
            others = sorted(await asyncio.to_thread(self.masters) - {owner})
            target = scene.chance.choice(others)
            with scene.strike("moves of the slot"):
                await to_its_end(asyncio.to_thread(self._move, owner, target))
                await self.look_there()

    def _move(self, owner: int, target: int) -> None:
        """A hundred keys at a time, for the queue stands still while they are at both nodes."""
        nodes, port = self._nodes, self._nodes.ports[target]
        nodes.begin_to_move(self._slot, owner, target)
        while keys := nodes.ask(owner, "CLUSTER", "GETKEYSINSLOT", self._slot, 100):
            nodes.ask(owner, "MIGRATE", "127.0.0.1", port, "", 0, 10_000, "KEYS", *keys)
        nodes.end_move(self._slot, owner, target)

    async def masters_fail(self, scene: Scene, *, forgets: float) -> None:
        """The master is killed, its replica takes over, and it comes back as a replica.

        `forgets`: seconds of answers that it takes with it.
        """
        while True:
            await asyncio.sleep(scene.pause())
            with scene.strike("killed masters") as damage:
                if forgets:
                    damage.kept = time.monotonic_ns() - int(forgets * 1e9)
                await to_its_end(self._fail())

    async def _fail(self) -> None:
        owner = await asyncio.to_thread(self.owner)
        self._nodes.servers[owner].kill()
        await until(lambda: asyncio.to_thread(self.owner, self._nodes.alive()[0]), lambda now: now != owner, 60)
        await self.look_there()
        await asyncio.to_thread(self._nodes.servers[owner].start)
        await asyncio.to_thread(self._nodes.until_well)
        await asyncio.to_thread(self._nodes.until_linked, owner)


async def run_cluster(campaign: ClusterCampaign, length: Length, seed: int, folder: Path) -> Verdict:
    """Run a campaign to its end, and judge it."""
    began = time.monotonic()
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        nodes = Nodes(folder / "nodes", replicas=1, node_timeout_ms=1000)
        await asyncio.to_thread(nodes.__enter__)
        stack.callback(nodes.__exit__)
        name = await asyncio.to_thread(partial(nodes.name_at, 0, tag=f"c-{secrets.token_hex(4)}"))
        session = await stack.enter_async_context(Session.open(nodes.url, ttl=10 * TTL))
        queue = Queue(session, name, tuple[int, int], maxsize=MAXSIZE, max_crashes=None)
        await queue.qsize()
        fleet = Fleet(stack, nodes.url, name, records, replicas=campaign.replicas)
        gauges = Gauges(Redis(port=nodes.ports[0]), name, fleet.spared, records)
        place = Place(nodes, name, gauges)
        proxy = await stack.enter_async_context(Proxy(nodes.servers[0].url, folder))
        scene = Scene(fleet, nodes.servers[0], proxy, random.Random(seed), 2.0)  # noqa: S311  # no secret
        await fleet.start(2, 3)
        fail = partial(place.masters_fail, forgets=campaign.forgets)
        async with gauges.watching():
            faults = (place.moves, kills) if campaign.strikes == "moves" else (fail,)
            await strike(faults, length, scene, lambda: gauges.put_total)
            await fleet.end(fleet.producers, 180.0)
            await until(queue.statistics, _is_at_rest, 180.0)
        await fleet.end(fleet.consumers, 120.0)
        await place.look_there()
        async with gauges.client as client:
            own = {"sessions at the queue": 1, "keys of sessions": 1, "connections of sessions": 2}
            course = Course(
                scene.struck, time.monotonic() - began, MAXSIZE, scene.healed, _ELECTED, scene.strikes, campaign.forgets,
                await left_behind(own, client, name, queue),
            )  # fmt: skip
            return await judge(client, name, records, gauges, course)


def _is_at_rest(now: QueueStatistics) -> bool:
    return now.pending + now.leased + now.delayed + now.puts_waiting == 0
