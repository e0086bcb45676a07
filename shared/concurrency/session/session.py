"""Session: one identity, one heartbeat, one connection for calls and wake-ups, for everything a process does."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from shared.concurrency.checks import check_count, check_seconds
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.credentials import Credentials
from shared.concurrency.session.process import Process

_SHORTEST_TTL: Final = 0.1
_LONGEST_TTL: Final = 3600.0


class Session:
    """One identity at one server. Every primitive is built from a session; open it with `Session.open`.

    A session that cannot renew itself before its deadline is over: what it held is lost and recovered by others, and
    the process goes on under a new one by itself. It belongs to one event loop.
    """

    def __init__(self, process: Process) -> None:
        """Use `Session.open`."""
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        ttl: float = 10.0,
        connect_timeout: float = 10.0,
        refusal_grace: float = 30.0,
        replicas: int = 0,
        credentials: Credentials | None = None,
    ) -> AsyncIterator["Session"]:
        """Connect, and disconnect at the end of the block, giving back what is held.

        `url`: redis://, rediss:// or unix://, or a list of sentinels or of a Cluster's nodes (docs/topologies.md).
        `ttl`: seconds after which others may take what a silent session holds (0.1 to 3600; what is below 0.5, or
        below three round trips to the server, is lost under load, and warned of). Waits until the server answers,
        `connect_timeout` seconds at most, and logs after a second which address does not, and why; later outages are
        waited out by every call. `refusal_grace`: seconds for which a call waits, too, while the server refuses what
        it accepted before (a rotated password, a changed rule); then it raises ServerRefused. `replicas`: a put
        returns, and a message is settled, once so many replicas have it; while fewer do, every call of the session
        waits. `credentials`: an ordinary function that gives the password, or a tuple of user and password; called at
        every connect, in a thread.

        :raises ServerUnavailable: (a ConnectionError) when no server answered in time.
        :raises ServerRefused: when the server answers but cannot be used: too old, it evicts, it forbids.
        :raises ValueError: when an argument is out of range or the address cannot be read. TypeError: when
            `credentials` is no function, or an async one.
        """
        check_seconds("ttl", ttl, _SHORTEST_TTL, _LONGEST_TTL)
        check_seconds("connect_timeout", connect_timeout, 0.001, 86400.0)
        check_seconds("refusal_grace", refusal_grace, 0, 86400.0)
        check_count("replicas", replicas, 0, 100)
        process = Process(read_address(url, credentials), ttl, refusal_grace, replicas)
        try:
            await process.start(connect_timeout)
            process.warn_of_short(ttl)
            yield cls(process)
        finally:
            await process.close()


def process_of(session: Session) -> Process:
    """What a session is made of, for the primitives that are built from it.

    :raises TypeError: when it is no session.
    """
    if not isinstance(session, Session):
        raise TypeError(f"expected a Session, as `async with Session.open(...)` gives it, not {session!r}")
    return session._process  # noqa: SLF001  # the only door to it


def check_times(session: Session, ttl: float | None, max_hold: float | None) -> tuple[float, float | None]:
    """The time to live of a lease and its longest time, in seconds; without a `ttl` the session's.

    :raises ValueError: when one of them is out of range.
    """
    if ttl is not None:
        check_seconds("ttl", ttl, _SHORTEST_TTL, _LONGEST_TTL)
    if max_hold is not None:
        check_seconds("max_hold", max_hold, _SHORTEST_TTL, 86400.0 * 365)
    process = process_of(session)
    if ttl is None:
        return process.ttl, max_hold
    process.warn_of_short(ttl)
    return float(ttl), max_hold
