"""Has a run of tests use a Cluster: TESTS_TOPOLOGY=cluster. Tests that ask a server by itself have a client of all.

TESTS_TOPOLOGY=group has the names of one test share a slot besides, for tests of what travels between queues.
TESTS_TOPOLOGY=sentinel has it use servers behind sentinels; tests that ask a server by itself ask the one that leads.
"""

import os
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
import redis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.cluster import links, topology, wires
from shared.concurrency.session.names import Key, KeyDescription

ASKED: Final = "TESTS_TOPOLOGY"
"""The variable; it is read by tests alone."""
_OF_A_TEST: Final = re.compile(r"(t-[0-9a-f]{12})(-[^/]+)")


class _Client(RedisCluster):
    def pubsub(self) -> Any:
        """What is published reaches all nodes: any of them will do."""
        node = next(iter(self.nodes_manager.startup_nodes.values()))
        return Redis(host=node.host, port=int(node.port), protocol=3).pubsub()

    def publish(self, channel: str, message: bytes) -> Any:
        return self.execute_command("PUBLISH", channel, message, target_nodes=RedisCluster.RANDOM)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:  # noqa: ARG002  # a Cluster has none
        return super().pipeline()


class _BlockingClient(redis.RedisCluster):
    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:  # noqa: ARG002  # as above
        return super().pipeline()  # type: ignore[no-untyped-call]


def is_cluster_asked_for() -> bool:
    """Whether this run of tests has its shared server be a Cluster."""
    return os.environ.get(ASKED) in ("cluster", "group")


def is_group_asked_for() -> bool:
    """Whether this run of tests has the names of each test share a slot anyway."""
    return os.environ.get(ASKED) == "group"


def is_sentinel_asked_for() -> bool:
    """Whether this run of tests has its shared server be one behind sentinels."""
    return os.environ.get(ASKED) == "sentinel"


def use_topology_where_asked() -> None:
    """Where the variable is set, have `Redis.from_url` give a client for the address of several servers, too."""
    if is_sentinel_asked_for():
        for kind in (Redis, redis.Redis):
            _lead(kind)
    if is_group_asked_for():
        share_slots(setattr)
    if is_cluster_asked_for():
        _follow(Redis, lambda seed, **options: _Client(startup_nodes=[ClusterNode(*seed)], **options))
        _follow(
            redis.Redis,
            lambda seed, **options: _BlockingClient(startup_nodes=[_node(*seed)], **options),
        )


def share_slots(put: Callable[[object, str, Any], None]) -> None:
    """Have the names of one test share a slot, as in a group: `{t-0123456789ab}-2:`, not `{t-0123456789ab-2}:`.

    `put` sets an attribute.
    """
    under, slot_of = Key.under, topology.slot_of

    def under_tag(name: str, description: KeyDescription, more: str = "") -> Key:
        if (found := _OF_A_TEST.fullmatch(name)) is None:
            return under(name, description, more)
        key = Key(f"{{{found[1]}}}{found[2]}:{description.suffix}{more}".encode())
        key.kind = description.kind
        return key

    def slot_of_tag(name: str) -> int:
        found = _OF_A_TEST.fullmatch(name)
        return slot_of(name if found is None else found[1])

    put(Key, "under", under_tag)
    for module in (links, wires):
        put(module, "slot_of", slot_of_tag)


def not_on_cluster(why: str) -> None:
    """Skip what needs one server."""
    if is_cluster_asked_for():
        pytest.skip(f"not on a Cluster: {why}")


def _lead(kind: Any) -> None:
    plain = kind.from_url

    kind.from_url = lambda url, **options: plain(leading(url), **options)


def leading(url: str) -> str:
    """Of servers behind sentinels the address of the one that leads now; any other address as it is."""
    return f"redis://{read_address(url).locate_blocking()}/0" if url.startswith("redis+sentinel") else url


def _follow(kind: Any, make: Any) -> None:
    plain = kind.from_url

    def from_url(url: str, **options: Any) -> Any:
        if not url.startswith(("redis+cluster", "rediss+cluster")):
            return plain(url, **options)
        address = read_address(url)
        assert isinstance(address, ClusterAddress)
        return make(address.seeds[0], **options)

    kind.from_url = from_url


def _node(host: str, port: int) -> Any:
    made: Any = redis.cluster.ClusterNode
    return made(host, port)
