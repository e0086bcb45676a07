"""Lock campaigns: readers and writers are killed and stopped, and their server fails; a store compares tokens."""

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

from shared.local.embedded import EmbeddedServer
from tests.campaigns.checkers.leaks import leaks
from tests.campaigns.contenders import Contenders, writers
from tests.campaigns.faults.faults import Fault, kills
from tests.campaigns.faults.machine import clock, power
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL
from tests.campaigns.length import Length
from tests.campaigns.lock_verdict import LockVerdict, judge_locks
from tests.campaigns.remains import count_endless
from tests.campaigns.servers.shim import why_no_shim
from tests.campaigns.servers.shimmed import ShimmedServer, Sync
from tests.campaigns.store import Store
from tests.campaigns.striking import strike
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

PROCESSES: Final = 3
TASKS: Final = 2


@dataclass(frozen=True)
class LockCampaign:
    """What strikes, and what is asked of the run."""

    says: str
    faults: tuple[Fault, ...] = ()
    """Beside stops of processes that write at that moment."""
    behind_shim: Sync | None = None
    excludes: bool = True
    """Whether a writer must be alone: not where the server forgets, or its clock jumps. Tokens hold there."""

    def why_not(self) -> str | None:
        """The reason why it cannot run here, or None."""
        return why_no_shim() if self.behind_shim else None


LOCKS: Final = {
    "locks": LockCampaign("F2: readers and writers are killed, and stopped while they write", (kills,)),
    "locks-power": LockCampaign("F5: the power of their server fails, `appendfsync always`", (power,), "always"),
    "locks-everysec": LockCampaign(
        "F5: the same with `everysec`: grants are forgotten, tokens hold", (power,), "everysec", excludes=False
    ),
    "locks-steps": LockCampaign(
        "F13: the clock of their server jumps: leases end early, tokens hold", (clock,), "everysec", excludes=False
    ),
}


async def run_locks(campaign: LockCampaign, length: Length, seed: int, folder: Path) -> LockVerdict:
    """Run a campaign to its end, and judge it."""
    began, base, store = time.monotonic(), f"c-{secrets.token_hex(4)}", Store()
    (records := folder / "records").mkdir()
    async with AsyncExitStack() as stack:
        server = (
            ShimmedServer(folder / "s", campaign.behind_shim) if campaign.behind_shim else EmbeddedServer(folder / "s")
        )
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(server.url, folder))
        client = await stack.enter_async_context(Redis.from_url(server.url))
        await stack.enter_async_context(store.serving(folder / "store"))
        contenders = Contenders(stack, (server.url, base, TTL, str(records), str(folder / "store"), TASKS))
        await asyncio.gather(*(contenders.start(number) for number in range(PROCESSES)))
        scene = Scene(contenders, server, proxy, random.Random(seed), 1.0)  # noqa: S311  # no secret
        await strike((*campaign.faults, writers(contenders, records)), length, scene, lambda: inf)
        await contenders.kill()

        await until(lambda: _connections(client), lambda count: count == 0, 30.0)
        left = leaks({}, await count_endless(client, base))
        return judge_locks(
            records,
            store.attempts,
            scene.struck,
            time.monotonic() - began,
            left,
            strikes=scene.strikes,
            excludes=campaign.excludes,
        )


async def _connections(client: Redis) -> int:
    """How many connections there are of sessions."""
    return sum(entry["name"].startswith("weir-") for entry in await client.client_list())
