"""A primary with two replicas and three sentinels that watch them: real processes on ports of this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis

from tests.instruments.server_process import Node, free_ports

SERVICE: Final = "main"
_WATCHERS_PASSWORD: Final = "w-6"
_SERVER: Final = (
    "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
    "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--unixsocket", "",
)  # fmt: skip


class WatchedServers:
    """Use it as a context manager: it is up once every sentinel knows every server and the other sentinels."""

    def __init__(
        self,
        directory: Path,
        *,
        down_after: int = 1000,
        password: str = "",
        sentinel_password: str = "",
        least_replicas: int = 0,
    ) -> None:
        """`down_after`: milliseconds of silence after which a sentinel takes a server for down.

        `least_replicas`: unless so many have reported within two seconds, the primary refuses writes.
        With passwords the servers want one of the user `app`, and the sentinels another. Replicas and sentinels are the
        user `watcher` of the servers then.
        """
        ports = free_ports(6)
        self._passwords = password, sentinel_password
        locks = _users(password) if password else ()
        least = ("--min-replicas-to-write", str(least_replicas), "--min-replicas-max-lag", "2")
        self.servers = [Node(directory / f"server-{port}", port, *_SERVER, *least, *locks) for port in ports[:3]]
        self.sentinels = [self._sentinel(directory, port, ports[3:], down_after) for port in ports[3:]]
        for node, own in ((node, at // 3) for at, node in enumerate((*self.servers, *self.sentinels))):
            node.password = self._passwords[own]
            node.user = "app" if password and not own else None

    def _sentinel(self, directory: Path, port: int, others: list[int], down_after: int) -> Node:
        folder = directory / f"sentinel-{port}"
        node = Node(folder, port, str(folder / "sentinel.conf"), "--sentinel")
        # What they would find out about each other in some seconds.
        lines = [
            f"sentinel myid {port:040x}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {down_after}",
            f"sentinel failover-timeout {SERVICE} 3000",
            f"sentinel parallel-syncs {SERVICE} 2",
            *(f"sentinel known-replica {SERVICE} 127.0.0.1 {server.port}" for server in self.servers[1:]),
            *(f"sentinel known-sentinel {SERVICE} 127.0.0.1 {each} {each:040x}" for each in others if each != port),
        ]
        own, sentinels_own = self._passwords
        if own:
            lines += [f"sentinel auth-user {SERVICE} watcher", f"sentinel auth-pass {SERVICE} {_WATCHERS_PASSWORD}"]
        if sentinels_own:
            lines += [f"requirepass {sentinels_own}", f"sentinel sentinel-pass {sentinels_own}"]
        (folder / "sentinel.conf").write_text("\n".join(["bind 127.0.0.1", *lines, ""]))
        return node

    @property
    def url(self) -> str:
        """The address for clients."""
        own, sentinels_own = self._passwords
        login, options = f"app:{own}@" if own else "", f"?sentinel_password={sentinels_own}" if sentinels_own else ""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{login}{hosts}/{SERVICE}{options}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all of them."""
        for node in (*self.sentinels, *self.servers):
            node.kill()

    def _start(self) -> None:
        primary, *replicas = self.servers
        primary.start()
        _until("the primary answers", lambda: _answers(primary))
        for replica in replicas:
            replica.start()
        for replica in replicas:
            _until("a replica answers", lambda: _answers(replica))  # noqa: B023  # called at once
            self.attach(replica, primary)
        for sentinel in self.sentinels:
            sentinel.start()
        _until("the sentinels agree", lambda: all(map(self._sees_all, self.sentinels)))
        _until("the replicas follow", lambda: self.follow(2))

    @staticmethod
    def attach(replica: Node, primary: Node) -> None:
        """Have a server follow another one."""
        with replica.client() as client:
            client.replicaof("127.0.0.1", primary.port)

    def primary(self) -> Node:
        """The server that leads; waits until all sentinels that answer say the same."""
        said: set[int] = set()

        def agree() -> bool:
            said.clear()
            said.update(port for each in self.sentinels if (port := _leader(each)))
            return len(said) == 1

        _until("the sentinels agree who leads", agree)
        return next(server for server in self.servers if server.port in said)

    def follow(self, replicas: int) -> bool:
        """Whether so many replicas follow the primary."""
        with self.primary().client() as client:
            found = client.info("replication")
        online = [found[f"slave{at}"]["state"] == "online" for at in range(found["connected_slaves"])]
        return bool(found["role"] == "master") and sum(online) >= replicas

    @staticmethod
    def _sees_all(sentinel: Node, *links: str) -> bool:
        try:
            with sentinel.client() as client:
                quorum = client.execute_command("SENTINEL", "CKQUORUM", SERVICE)
                replicas = client.sentinel_slaves(SERVICE)
        except redis.RedisError:  # NOQUORUM among them
            return False
        healthy = [
            each for each in replicas if each["flags"] == "slave" and each["master-link-status"] in (links or ("ok",))
        ]
        return quorum.startswith(b"OK 3") and len(healthy) == 2

    def wait_until_all_follow(self) -> None:
        """Wait until the sentinels agree who leads, and both others follow it."""
        _until("all others follow", self._all_follow)

    def _all_follow(self) -> bool:
        try:
            primary = self.primary()
            for server in self.servers:
                with server.client() as client:
                    if server is not primary and client.info("replication").get("master_port") != primary.port:
                        client.replicaof("127.0.0.1", primary.port)  # the sentinels do it, some ten seconds later
            return self.follow(2) and all(self._sees_all(sentinel, "ok", "err") for sentinel in self.sentinels)
        except redis.RedisError:
            return False

    def order_failover(self, *words: str) -> None:
        """Have a sentinel let another server lead, as soon as the last failover is done with."""

        def accepted() -> bool:
            try:
                with self.sentinels[0].client() as client:
                    client.execute_command("SENTINEL", "FAILOVER", SERVICE, *words)
            except redis.ResponseError as error:
                if "INPROG" in str(error) or "NOGOODSLAVE" in str(error):
                    return False
                raise
            return True

        _until("a sentinel accepts the order", accepted)

    def leaves(self, port: int) -> None:
        """Wait until a sentinel says that another server leads than the one at `port`."""
        _until("another server leads", lambda: any(_leader(each) not in (None, port) for each in self.sentinels))


def _users(password: str) -> tuple[str, ...]:
    watcher = f">{_WATCHERS_PASSWORD}"
    return (
        "--user", "default", "off", "--user", "app", "on", f">{password}", "~*", "&*", "+@all",
        "--user", "watcher", "on", watcher, "~*", "&*", "+@all", "--masteruser", "watcher", "--masterauth", watcher[1:],
    )  # fmt: skip


def _leader(sentinel: Node) -> int | None:
    """The port of the server that leads, as one sentinel says; None when it does not answer."""
    try:
        with sentinel.client() as client:
            found = client.sentinel_get_master_addr_by_name(SERVICE)
    except redis.RedisError:
        return None
    return None if found is None else int(found[1])


def _answers(node: Node) -> bool:
    try:
        with node.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _until(what: str, satisfied: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not satisfied():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds:g} s: {what}")
        time.sleep(0.01)
