"""TLS to several servers: sentinels and the servers they watch, and the nodes of a Cluster, each by its certificate."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from shared.concurrency import ConcurrencyError, Lock, Queue, Session
from tests.instruments.certificates import Authority, needs_openssl
from tests.instruments.doors import Door
from tests.instruments.nodes import SLOTS, Nodes
from tests.instruments.server_process import Node, free_ports
from tests.instruments.waiting import renewed, resolved, until

pytestmark = [needs_openssl, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def put_take_and_renew(session: Session, name: str, item: int) -> None:
    queue = Queue(session, name, int)
    await queue.put(item)
    async with Lock(session, name) as lease, await queue.get() as found:
        await renewed(lease)  # by the heartbeat, which has a connection of its own
        assert found == item


@contextlib.contextmanager
def started(node: Node) -> Iterator[Node]:
    node.start()
    try:
        yield node
    finally:
        node.kill()


class Watched:
    """Two servers, of which one leads, and a sentinel; each behind a door by which the others reach it, too."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        self.ports = free_ports(3)
        self.doors = [Door(certificate) for _ in self.ports]
        self._folder = folder

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for door, port in zip(self.doors, self.ports, strict=True):
                stack.enter_context(door.before_port(port))
            first, second, third = self.doors
            for number, door in enumerate((first, second)):
                more = ("--replicaof", "localhost", str(first.port)) if number else ()
                announced = ("--replica-announce-ip", "localhost", "--replica-announce-port", str(door.port))
                stack.enter_context(
                    started(Node(self._folder / f"{number}", self.ports[number], "--save", "", *announced, *more))
                )
            sentinel = Node(self._folder / "s", self.ports[2], str(self._folder / "s" / "conf"), "--sentinel")
            (self._folder / "s" / "conf").write_text(
                "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
                f"sentinel announce-ip localhost\nsentinel announce-port {third.port}\n"
                f"sentinel monitor main localhost {first.port} 1\nsentinel down-after-milliseconds main 60000\n"
            )
            self.sentinel = stack.enter_context(started(sentinel))
            yield


async def test_a_session_follows_sentinels_through_tls_to_the_server_that_leads(
    tmp_path: Path, authority: Authority, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(tmp_path, authority.certificate("localhost"))
    with watched.running():
        first, second, third = watched.doors

        async def replicas() -> int:
            with contextlib.suppress(Exception), watched.sentinel.client() as client:
                return sum(each["master-link-status"] == "ok" for each in client.sentinel_slaves("main"))
            return 0

        await until(replicas, lambda count: count == 1, seconds=60)
        address = f"rediss+sentinel://localhost:{third.port}/main?ssl_ca_certs={authority.file}"
        async with Session.open(address, ttl=3.0) as session:
            await put_take_and_renew(session, name, 1)
            assert first.encrypted >= 2, "a session and its heartbeat"
            with watched.sentinel.client() as client:
                client.execute_command("SENTINEL", "FAILOVER", "main")
            await until(lambda: resolved(second.encrypted), lambda count: count >= 1, seconds=60)
            await put_take_and_renew(session, name, 2)
            assert second.encrypted >= 2, "the same at the one that leads now"
        assert third.encrypted
        stranger = Authority(tmp_path, "stranger")
        with pytest.raises(ConcurrencyError) as refused:
            async with Session.open(address.replace(str(authority.file), str(stranger.file)), connect_timeout=5.0):
                pass
        # Where the last of its attempts is cut off by the end of that time, the warning has said it.
        assert "certificate" in f"{caplog.text}{refused.value}"


def named_at(number: int) -> str:
    """A name whose slot this node of three serves."""
    share = -(-SLOTS // 3)
    return next(name for at in range(1000) if key_slot((name := f"n-{at}").encode()) // share == number)


async def test_a_session_reaches_each_node_of_a_cluster_through_tls(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.certificate("localhost")
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(Nodes(tmp_path / "nodes"))
        doors = [stack.enter_context(Door(certificate).before_port(port)) for port in nodes.ports]
        for number, door in enumerate(doors):
            nodes.ask(number, "CONFIG", "SET", "cluster-announce-hostname", "localhost")
            nodes.ask(number, "CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname")
            nodes.ask(number, "CONFIG", "SET", "cluster-announce-port", door.port)

        def announced(number: int) -> set[tuple[bytes, int]]:
            return {(master[0], master[1]) for _, _, master, *_ in nodes.ask(number, "CLUSTER", "SLOTS")}

        wanted = {(b"localhost", door.port) for door in doors}
        for number in range(3):
            await until(lambda: resolved(announced(number)), lambda found: found == wanted)  # noqa: B023  # awaited here
        address = f"rediss+cluster://localhost:{doors[0].port}?ssl_ca_certs={authority.file}"
        async with Session.open(address, ttl=3.0) as session:
            names = [named_at(number) for number in range(3)]
            for item, name in enumerate(names):
                await put_take_and_renew(session, name, item)
            assert all(door.encrypted >= 2 for door in doors), "a session and its heartbeat, at each node"
            # The session follows a name to another node through TLS.
            slot = key_slot(names[0].encode())
            nodes.begin_to_move(slot, 0, 1)
            nodes.move_keys(slot, 0, 1)
            nodes.end_move(slot, 0, 1)
            await put_take_and_renew(session, names[0], 3)
