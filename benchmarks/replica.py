"""A replica of the server of a contest."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks.contestants import BenchmarkError
from shared.local.embedded import EmbeddedServer

_PATIENCE = 30.0


@contextlib.contextmanager
def replica(primary: Any) -> Iterator[None]:
    """A second server beside `primary`, a client of the first, which has all of its data inside the block.

    :raises BenchmarkError: when the first cannot be followed.
    """
    port = int(primary.config_get("port")["port"])
    if not port:
        raise BenchmarkError("a replica follows over a network only: give the server a port")
    with tempfile.TemporaryDirectory(prefix="weir-replica-") as folder, EmbeddedServer(Path(folder)) as server:
        with redis.Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", str(port))
        deadline = time.monotonic() + _PATIENCE
        while not _follows(primary):
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the replica did not follow within {_PATIENCE:.0f} s")
        yield


def _follows(primary: Any) -> bool:
    primary.publish("nobody", "")  # WAIT counts those who have what this connection wrote
    return int(primary.wait(1, 100)) == 1
