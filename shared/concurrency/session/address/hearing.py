"""Hearing: what the sentinels of one service say, and what this process knows by that."""

import threading
from typing import Final, Protocol
from weakref import WeakSet, WeakValueDictionary

from redis.exceptions import ConnectionError as LostConnection

from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.address.opinion import Opinion
from shared.concurrency.session.clock import boottime


class Leaving(Protocol):
    """What is open to a server that led."""

    def look_whether_left(self) -> None:
        """Break if another server leads now; in any thread."""


class Service:
    """What this process knows of one service: all its connections share it."""

    def __init__(self, hosts: tuple[Endpoint, ...]) -> None:
        self.hosts = hosts
        """The sentinels, in the order in which they are asked."""
        self.last = Opinion(None, "", is_in_doubt=True)
        """What a sentinel said last of who leads."""
        self.heard_at = 0.0
        """When it did."""
        self._connections: Final[WeakSet[Leaving]] = WeakSet()
        self._lock: Final = threading.Lock()
        """Of the connections: event loops and heartbeats of one process share a service."""

    def answered(self, host: Endpoint, heard: Opinion) -> None:
        """Take note of an answer; in any thread."""
        self.hosts = (host, *(other for other in self.hosts if other != host))
        before, self.last = self.last.leader, heard
        self.heard_at = boottime()
        if before != heard.leader:
            with self._lock:
                connections = list(self._connections)
            for connection in connections:
                connection.look_whether_left()

    def add(self, connection: Leaving) -> None:
        """Have a connection look when another server leads."""
        with self._lock:
            self._connections.add(connection)


class Hearing:
    """What the sentinels say when they are asked once: a later failover outdoes an earlier one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._older: list[tuple[Endpoint, Opinion]] = []
        self._problems: list[str] = []

    def leader(self, host: Endpoint, heard: Opinion) -> Endpoint | None:
        """Who leads, if this sentinel knows, and has heard of the last failover that we know of."""
        if heard.leader is None:
            self._problems.append(f"{host}: {heard.problem}")
        elif heard.epoch < self._service.last.epoch:
            self._older.append((host, heard))
        else:
            self._service.answered(host, heard)
            return heard.leader
        return None

    def last_resort(self, name: str) -> Endpoint:
        """Who leads when all have answered: the sentinels may have been set up anew, and count from the beginning.

        :raises redis.exceptions.ConnectionError: when nobody knows.
        """
        if not self._older:
            problems = "; ".join(self._problems)
            raise LostConnection(f"no sentinel knows which server leads {name!r} ({problems})")
        host, heard = max(self._older, key=lambda answer: answer[1].epoch)
        self._service.answered(host, heard)
        assert heard.leader is not None  # noqa: S101  # for the type checker
        return heard.leader


_services: Final[WeakValueDictionary[tuple[frozenset[Endpoint], str], Service]] = WeakValueDictionary()


def service_of(hosts: tuple[Endpoint, ...], name: str) -> Service:
    """What this process knows of a service: one object for all that ask these sentinels."""
    key = frozenset(hosts), name
    if (service := _services.get(key)) is None:
        service = _services[key] = Service(hosts)
    return service
