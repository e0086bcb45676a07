"""The scene of a call of the locks that is broken off, and of a second party that must get what it let go.

The second party is another session's. It has half a time to live, so nothing that merely runs out counts.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Lease, Session
from shared.concurrency.locks.leases.participant import LeaseParticipant
from tests.instruments import inside
from tests.instruments.waiting import until

WITHIN: Final = 5.0
"""Seconds for the second party: half a time to live."""

SETS: Final = (
    "lease:holders", "lease:waiting", "lease:line", "lease:readers", "condition:waiters", "condition:alive",
    "condition:notified",
)  # fmt: skip


@dataclass
class Scene:
    """A name of its own, the session whose call is broken off, and that of the second party."""

    session: Session
    other: Session
    client: Redis
    name: str
    participant: LeaseParticipant
    """The session's part in it: it can be looked at when the session is closed."""
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the call has ended, one way or another."""
    may_fail: bool = False
    """Whether what goes on beside the call may end with an error: its session is closed."""
    second: "asyncio.Task[Any] | None" = None
    """Ends when the second party has got it."""
    held: Lease | None = None
    may_leave: asyncio.Event = field(default_factory=asyncio.Event)
    notified: bool = False
    """Whether one of the two was notified, while both waited."""
    used: bool = False
    """Whether the call has used that notification."""

    def start(self, what: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Have something go on beside the call."""
        self.tasks.append(asyncio.create_task(what))
        return self.tasks[-1]

    async def reach(self, what: str, session: Session) -> None:
        """Until one of a session's is in a set of the server's; the call's own, or until the call has ended."""
        own = session is self.session
        await until(lambda: self.ids(what, session), lambda ids: bool(ids) or (own and self.over.is_set()))

    async def ids(self, what: str, session: Session | None = None) -> list[bytes]:
        """What is in a set of the server's, of one session or of all."""
        found: list[bytes] = await self.client.zrange(f"{{{self.name}}}:{what}", 0, -1)
        return [each for each in found if session is None or each.startswith(inside.owner_of(session).encode())]

    async def come(self) -> None:
        """The second party gets it."""
        assert self.second is not None
        await asyncio.wait({self.second}, timeout=WITHIN)
        assert self.second.done(), "the second party does not get it"
        self.second.result()

    async def nothing_left(self) -> None:
        """Neither the server nor the session keeps anything of the call."""

        async def look() -> list[Any]:
            left = [(what, await self.ids(what)) for what in SETS]
            return [each for each in left if each[1]] + inside.lease_leftovers(self.participant)

        await until(look, lambda left: not left, WITHIN)


@contextlib.asynccontextmanager
async def set_up(session: Session, other: Session, client: Redis, name: str) -> AsyncIterator[Scene]:
    """A scene; what goes on in it ends with it."""
    scene = Scene(session, other, client, name, inside.lease_participant_of(session, name))
    try:
        yield scene
    finally:
        for task in scene.tasks:
            task.cancel()
        if scene.tasks:
            await asyncio.wait(scene.tasks)
    failed = [task.exception() for task in scene.tasks if not task.cancelled() and task.exception()]
    assert scene.may_fail or not failed, failed


@dataclass(frozen=True)
class Case:
    """One call."""

    call: Callable[[Scene], Coroutine[Any, Any, Any]]
    afterwards: Callable[[Scene], Awaitable[None]]
    """The second party gets what was let go."""
    before: Callable[[Scene], Awaitable[None]] | None = None
    meanwhile: Callable[[Scene], Coroutine[Any, Any, Any]] | None = None
    """What goes on at the same time, so that a waiting call comes to its end."""
