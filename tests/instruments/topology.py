"""Has a run of tests use a Cluster: TESTS_TOPOLOGY=cluster. Tests that ask a server by itself have a client of all."""

import os
from typing import Any, Final

import pytest
import redis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress

ASKED: Final = "TESTS_TOPOLOGY"
"""The variable; it is read by tests alone."""


class _Client(RedisCluster):
    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:  # noqa: ARG002  # a Cluster has none
        return super().pipeline()


class _BlockingClient(redis.RedisCluster):
    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:  # noqa: ARG002  # as above
        return super().pipeline()  # type: ignore[no-untyped-call]


def is_cluster_asked_for() -> bool:
    """Whether this run of tests has its shared server be a Cluster."""
    return os.environ.get(ASKED) == "cluster"


def use_cluster_where_asked() -> None:
    """Where the variable is set, have `Redis.from_url` give a client of a whole Cluster for the address of one."""
    if is_cluster_asked_for():
        _follow(Redis, lambda seed, **options: _Client(startup_nodes=[ClusterNode(*seed)], **options))
        _follow(
            redis.Redis,
            lambda seed, **options: _BlockingClient(startup_nodes=[_node(*seed)], **options),
        )


def not_on_cluster(why: str) -> None:
    """Skip what needs one server."""
    if is_cluster_asked_for():
        pytest.skip(f"not on a Cluster: {why}")


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
