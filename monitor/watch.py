"""Watch: reads snapshots, as often as it is asked, for who shows them."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from redis.exceptions import ResponseError

from monitor.link import Link
from monitor.names import Names
from monitor.shares import FROM_THE_START, Shares
from monitor.snapshot import ClockState, Problem, ServerState, Snapshot
from shared.clock.jobs import clock_queue
from shared.concurrency import ServerRefused
from shared.concurrency.locks.leases.snapshot import lease_call, read_lease
from shared.concurrency.queues.snapshot import QueueSnapshot, held_keys, queue_call, read_queue, shares_part
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.clock import boottime

T = TypeVar("T")

_SECTIONS: Final = ("server", "clients", "memory", "replication")


class Watch:
    """Reads the state of the cluster. It registers nowhere, and sends nothing that can write."""

    def __init__(self, link: Link, names: Names) -> None:
        """Use `open_watch`."""
        self._link: Final = link
        self._names: Final = names
        self._shares: dict[str, Shares] = {}
        """Of the queues that have some, by name."""

    async def snapshot(self) -> Snapshot:
        """Read everything, in five round trips at most, however much there is; to each node of a Cluster.

        :raises ServerUnavailable: when the server does not answer within 5 s, ServerRefused when it refuses.
        """
        names, problems = self._names, list[Problem]()
        states = [await self._state(server) for server in await self._link.servers()]
        now = states[0].now
        problems += [Problem(name="server", text=state.problem) for state in states if state.problem]
        cursors = [self._shares[name].cursor if name in self._shares else FROM_THE_START for name in names.queues]
        calls = [*map(queue_call, names.queues, cursors), *map(lease_call, names.leases)]
        answers = await self._link.scripts(calls)
        of_queues, of_leases = answers[: len(names.queues)], answers[len(names.queues) :]
        queues = await self._queues(_good(names.queues, of_queues, problems), problems)
        leases = [
            _read(name, partial(read_lease, name, answer), problems)
            for name, answer in _good(names.leases, of_leases, problems)
        ]
        return Snapshot(
            at=now,
            names_age_seconds=round(boottime() - names.looked_at, 3),
            server=_whole([each.server for each in states]),
            queues=queues,
            leases=tuple(sorted(_there(leases), key=lambda each: each.name)),
            leases_left_out=names.leases_left_out,
            clocks=await self._clocks([each.name for each in queues], now, problems),
            problems=tuple(problems),
        )

    async def _state(self, server: Endpoint | None) -> "_State":
        sent_at = boottime()
        info, moment = await self._link.commands([("INFO", *_SECTIONS), ("TIME",)], server)
        round_trip = boottime() - sent_at
        if isinstance(moment, ResponseError):
            raise ServerRefused(f"the server does not say what time it is: {moment}") from moment
        # Some services forbid INFO: the rest is there all the same.
        problem = str(info) if isinstance(info, ResponseError) else ""
        now = int(moment[0]) + int(moment[1]) / 1e6
        return _State(now, _read_server({} if problem else info, round_trip), problem)

    async def look_again(self) -> None:
        """Find the names of new queues and leases now, and not within 30 s.

        :raises ServerUnavailable: as `snapshot`.
        """
        await self._names.look()

    async def _queues(self, answered: Sequence[tuple[str, Any]], problems: list[Problem]) -> tuple[QueueSnapshot, ...]:
        known = [(name, answer, _read(name, partial(held_keys, name, answer), problems)) for name, answer in answered]
        found = [(name, answer) for name, answer, keys_of_it in known if keys_of_it is not None]
        keys = [keys_of_it for _, _, keys_of_it in known if keys_of_it is not None]
        counts = iter(await self._link.commands([("HLEN", key) for of_queue in keys for key in of_queue]))
        queues = []
        for (name, answer), of_queue in zip(found, keys, strict=True):
            held = [each if isinstance(each, int) else 0 for each in (next(counts) for _ in of_queue)]
            queues.append(_read(name, partial(self._queue, name, answer, held), problems))
        for name in self._shares.keys() - {name for name, _ in found}:
            del self._shares[name]
        return tuple(_there(queues))

    def _queue(self, name: str, answer: list[Any], held: Sequence[int]) -> QueueSnapshot | None:
        part = shares_part(answer)
        if part is None:
            self._shares.pop(name, None)
            return None
        return read_queue(name, answer, held, self._shares.setdefault(name, Shares()).add(part))

    async def _clocks(self, queues: Sequence[str], now: float, problems: list[Problem]) -> tuple[ClockState, ...]:
        """What waits at the clocks: one command for each queue, and one more where something does."""
        counts = await self._link.commands([("ZCARD", clock_queue(queue)) for queue in queues])
        waiting = [(queue, count) for queue, count in _good(queues, counts, problems) if count]
        overdue = await self._link.commands(
            [("ZCOUNT", clock_queue(queue), "-inf", f"{(now - 1) * 1000:.0f}") for queue, _ in waiting]
        )
        return tuple(
            ClockState(queue=queue, deferred=count, overdue=late)
            for (queue, count), late in zip(waiting, overdue, strict=True)
            if isinstance(late, int)
        )


@asynccontextmanager
async def open_watch(link: Link) -> AsyncIterator[Watch]:
    """A watch over a link, once the names of queues and leases are known; they are kept up to date.

    :raises ServerUnavailable: when the server does not answer, ServerRefused when it refuses.
    """
    names = Names(link)
    await names.look()
    async with names.kept():
        yield Watch(link, names)


def _good(names: Iterable[str], answers: Iterable[Any], problems: list[Problem]) -> list[tuple[str, Any]]:
    """What could be read, by name; the rest is a problem, and hides nothing else."""
    found = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, Exception):
            problems.append(Problem(name=name, text=str(answer)))
        else:
            found.append((name, answer))
    return found


def _read(name: str, read: Callable[[], T], problems: list[Problem]) -> T | None:
    """What the records of a queue or a lease say; None and a problem where another program wrote something else."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  # whatever it is, it hides nothing else
        text = f"a record of it cannot be read: {error!r:.200}".encode("utf-8", "backslashreplace").decode()
        problems.append(Problem(name=name, text=text))
        return None


def _there(found: Iterable[T | None]) -> list[T]:
    return [each for each in found if each is not None]


class _State(NamedTuple):
    now: float
    server: ServerState
    problem: str
    """Why it does not say how it is."""


def _whole(servers: Sequence[ServerState]) -> ServerState:
    """The masters of a Cluster as one server: what is counted is added, and the rest is the first one's."""
    added = ("memory_bytes", "max_memory_bytes", "clients", "replicas")
    return servers[0].model_copy(
        update={word: sum(getattr(server, word) for server in servers) for word in added}
        | {"round_trip_seconds": max(server.round_trip_seconds for server in servers)}
    )


def _read_server(said: dict[str, Any], round_trip: float) -> ServerState:
    product = "valkey" if "valkey_version" in said else "redis"
    return ServerState(
        product=product,
        version=str(said.get(f"{product}_version", "")),
        role=str(said.get("role", "")),
        run_id=str(said.get("run_id", "")),
        uptime_seconds=int(said.get("uptime_in_seconds", 0)),
        memory_bytes=int(said.get("used_memory", 0)),
        max_memory_bytes=int(said.get("maxmemory", 0)),
        clients=int(said.get("connected_clients", 0)),
        replicas=int(said.get("connected_slaves", 0)),
        round_trip_seconds=round(round_trip, 6),
    )
