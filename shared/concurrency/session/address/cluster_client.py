"""The client of redis-py for a Cluster: it finds the node of each command by its keys."""

import asyncio
import math
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode

from shared.concurrency.session.address.cluster import ClusterAddress


class BoundedCluster(RedisCluster):
    """Has so many commands under way at most: who asks for one more waits. redis-py's own bound raises instead.

    So no node has more connections than that. A pipeline is bounded by redis-py alone.
    """

    connection_pool: Any = None
    """Each node has its own."""

    def __init__(self, most: float, **options: Any) -> None:
        """`most`: commands; infinite for no bound."""
        self._turn = asyncio.Semaphore(10**9 if most == math.inf else int(most))
        super().__init__(**options)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for a turn, and run a command."""
        async with self._turn:
            return await super().execute_command(*args, **kwargs)


def cluster_client(address: ClusterAddress, *, most: float = math.inf, **options: Any) -> BoundedCluster:
    """A client; it connects at its first command. `options` are redis-py's; the address's own win.

    :raises ValueError: when the address has an option that redis-py's client for a Cluster does not know.
    """
    seeds = [ClusterNode(*seed) for seed in address.seeds]
    about = {**options, **address.options, "ssl": address.kind == "tls"}
    try:
        return BoundedCluster(most, startup_nodes=seeds, require_full_coverage=False, **about)
    except TypeError as error:
        raise ValueError(f"the address has an option that redis-py does not know for a Cluster: {error}") from error
