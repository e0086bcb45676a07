"""The faults of anchor F16: a process gets hardly any time, or may open no file any more."""

import asyncio
import contextlib
import resource
import time

from redis.exceptions import RedisError

from tests.campaigns.faults.faults import direct
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import TTL


async def throttles(scene: Scene) -> None:
    """A process runs for a tenth of the time, in turns of some milliseconds, for one to five times to live."""
    while True:
        await asyncio.sleep(scene.pause())
        table, number = scene.chance.choice(scene.fleet.everybody())
        process, until = table[number], time.monotonic() + TTL * scene.chance.uniform(1.0, 5.0)
        with scene.strike("throttles", process.pid):
            try:
                while time.monotonic() < until:
                    process.stop()
                    await asyncio.sleep(0.045)
                    process.cont()
                    await asyncio.sleep(0.005)
            finally:
                process.cont()


async def descriptors(scene: Scene) -> None:
    """A process may open nothing for a while, and loses its connections meanwhile."""
    async with direct(scene) as client:
        while True:
            await asyncio.sleep(scene.pause())
            table, number = scene.chance.choice(scene.fleet.everybody())
            pid = table[number].pid
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            with scene.strike("exhausted descriptors"):
                try:
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
                    with contextlib.suppress(RedisError, OSError):
                        await client.client_kill_filter(_type="normal", skipme=True)
                    await asyncio.sleep(scene.chance.uniform(0.1, 2 * TTL))
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
