"""A Cluster of real servers: masters, with replicas where asked, each a process of its own."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import redis
from redis.crc import key_slot

from shared.local.embedded import EmbeddedServer

SLOTS = 16384
_PATIENCE = 60.0
_OPTIONS = (
    "--cluster-replica-validity-factor", "0", "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
)  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, and nobody at those 10,000 above, where nodes talk to each other."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            # Below the range that the system gives to connections, so that none takes it meanwhile.
            port = 11_000 + int.from_bytes(os.urandom(2), "big") % 20_000
            try:
                for each in (port, port + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except OSError:
                continue
            found.append(port)
    return found


class Nodes:
    """Three masters that share the slots evenly. Node 3 is the replica of node 0, and so on."""

    def __init__(self, directory: Path, *, masters: int = 3, replicas: int = 0, node_timeout_ms: int = 1500) -> None:
        """Prepare. `replicas`: of each master."""
        self.masters = masters
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms))
        self.ports = free_ports(masters * (1 + replicas))
        self.servers: list[EmbeddedServer] = [
            EmbeddedServer(directory / f"node-{number}", port=port, options=(*options, *_OPTIONS))
            for number, port in enumerate(self.ports)
        ]

    @property
    def url(self) -> str:
        """The address of the Cluster, by its masters."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports[: self.masters])

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            for server in self.servers:
                started.enter_context(server)
            self._join()
            self._stop = started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.close()

    def ask(self, number: int, *command: str | int | bytes) -> Any:
        """What one node answers."""
        connection: Any = redis.Connection(port=self.ports[number], socket_timeout=10)  # type: ignore[no-untyped-call]
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()

    def id(self, number: int) -> str:
        """What the Cluster calls a node."""
        return str(_text(self.ask(number, "CLUSTER", "MYID")))

    def owner(self, slot: int, asked: int | None = None) -> int:
        """The number of the node that serves a slot, as a node says that runs."""
        number = self.alive()[0] if asked is None else asked
        for first, last, master, *_ in self.ask(number, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.ports.index(int(master[1]))
        raise LookupError(slot)

    def alive(self) -> list[int]:
        """The nodes that run."""
        return [number for number, server in enumerate(self.servers) if server.running]

    def name_at(self, number: int, *, tag: str = "name") -> str:
        """A name whose slot this node serves."""
        return next(name for at in range(1000) if self.owner(key_slot((name := f"{tag}-{at}").encode())) == number)

    def begin_to_move(self, slot: int, source: int, target: int) -> None:
        """From now on the slot is on its way."""
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target))

    def move_keys(self, slot: int, source: int, target: int) -> int:
        """Move the keys of a slot that is on its way; how many."""
        moved = 0
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
            for key in keys:
                self.ask(source, "MIGRATE", "127.0.0.1", self.ports[target], key, 0, 10_000)
            moved += len(keys)
        return moved

    def end_move(self, slot: int, source: int, target: int) -> None:
        """Have the target serve the slot."""
        for number in (target, source, *(n for n in self.alive() if n not in (source, target))):
            with contextlib.suppress(redis.ResponseError):  # a replica is told by its master
                self.ask(number, "CLUSTER", "SETSLOT", slot, "NODE", self.id(target))

    def move(self, slot: int, target: int) -> None:
        """Move a slot by hand, as `redis-cli --cluster reshard` does."""
        source = self.owner(slot)
        self.begin_to_move(slot, source, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def until_well(self) -> None:
        """Wait until every node that runs says that all slots are served."""
        self._until(lambda number: "cluster_state:ok" in self._info(number) and "slots_ok:16384" in self._info(number))

    def until_linked(self, number: int) -> None:
        """Wait until a replica has what its master has, and is told of what comes."""
        _wait(lambda: "master_link_status:up" in _text(self.ask(number, "INFO", "replication")))

    def _join(self) -> None:
        share = -(-SLOTS // self.masters)
        for number in range(self.masters):
            last = min(SLOTS, (number + 1) * share) - 1
            self.ask(number, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
        for number in range(1, len(self.ports)):
            self.ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.ask(number, "CLUSTER", "MEET", "127.0.0.1", self.ports[0])
        known = f"cluster_known_nodes:{len(self.ports)}"
        self._until(lambda number: known in self._info(number))
        ids = [self.id(number) for number in range(self.masters)]
        for number in range(self.masters, len(self.ports)):
            self._until_known(number, ids[number % self.masters])
            self.ask(number, "CLUSTER", "REPLICATE", ids[number % self.masters])
        for number in range(self.masters, len(self.ports)):
            self.until_linked(number)
        self.until_well()

    def _until_known(self, number: int, id_: str) -> None:
        _wait(lambda: id_ in _text(self.ask(number, "CLUSTER", "NODES")))

    def _until(self, is_so: Callable[[int], bool]) -> None:
        _wait(lambda: all(is_so(number) for number in self.alive()))

    def _info(self, number: int) -> str:
        return _text(self.ask(number, "CLUSTER", "INFO"))


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "the Cluster is not well"
        time.sleep(0.02)  # nodes tell nobody when they have heard of each other


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
