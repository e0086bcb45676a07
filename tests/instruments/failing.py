"""Failures: ways in which the server that leads fails, each healed afterwards."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tests.instruments.server_process import Node
from tests.instruments.watched import WatchedServers


@dataclass
class Failure:
    """One failure that is under way."""

    watched: WatchedServers
    primary: Node
    """The server that led."""

    async def until_another_leads(self) -> float:
        """Wait until a sentinel names another server; when that was, by the loop's clock."""
        await asyncio.to_thread(self.watched.leaves, self.primary.port)
        return asyncio.get_running_loop().time()

    async def until_all_follow(self) -> None:
        """Wait until the server that led is a replica like the others."""
        await asyncio.to_thread(self.watched.wait_until_all_follow)


Fail = Callable[[WatchedServers], Coroutine[Any, Any, tuple[Failure, Callable[[], None]]]]
"""Makes the primary fail; how to heal it."""


async def kill(watched: WatchedServers) -> tuple[Failure, Callable[[], None]]:
    """It is killed, and started again when another one leads."""
    primary = watched.primary()
    primary.kill()
    return Failure(watched, primary), primary.start


async def stop(watched: WatchedServers) -> tuple[Failure, Callable[[], None]]:
    """It is stopped: nobody reaches it, and it does not know."""
    primary = watched.primary()
    primary.signal(signal.SIGSTOP)
    return Failure(watched, primary), lambda: primary.signal(signal.SIGCONT)


async def cut_off(watched: WatchedServers) -> tuple[Failure, Callable[[], None]]:
    """Its replicas and the sentinels do not reach it any more, and its clients do."""
    primary = watched.primary()
    with primary.client() as client:
        client.execute_command("ACL", "SETUSER", "watcher", "off")
        client.execute_command("CLIENT", "KILL", "USER", "watcher")

    def heal() -> None:
        with primary.client() as client:
            client.execute_command("ACL", "SETUSER", "watcher", "on")
            # Connections that were refused meanwhile, and stayed: the sentinels log in with new ones.
            client.execute_command("CLIENT", "KILL", "USER", "default")

    return Failure(watched, primary), heal


async def hand_over(watched: WatchedServers) -> tuple[Failure, Callable[[], None]]:
    """An operator has another one lead."""
    primary = watched.primary()
    await asyncio.to_thread(watched.order_failover)
    return Failure(watched, primary), lambda: None


async def hand_over_in_step(watched: WatchedServers) -> tuple[Failure, Callable[[], None]]:
    """The same, as Valkey 9 can: the primary holds writes back until the other one has all."""
    primary = watched.primary()
    await asyncio.to_thread(watched.order_failover, "COORDINATED")
    return Failure(watched, primary), lambda: None


FAILURES: Final[dict[str, Fail]] = {
    "kill": kill, "stop": stop, "cut off": cut_off, "hand over": hand_over,
    "hand over in step": hand_over_in_step,
}  # fmt: skip
