"""Consumers: the processes at a queue, and how those that consume are drained."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.concurrency.queues.membership.keys import leased_key
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.statistics import QueueSession

Ask = Callable[..., Awaitable[Any]]


class Consumers:
    """The sessions at one queue."""

    def __init__(self, ask: Ask, operate: Ask, member: Membership) -> None:
        """`ask` and `operate` run a script of the queue, the latter once under a number; `member`: this process."""
        self._ask = ask
        self._operate = operate
        self._member = member

    async def sessions(self) -> list[QueueSession]:
        """The sessions of all processes, by owner."""
        found = await self._ask("list_sessions")
        ids = [session_id.decode() for session_id in found[::6]]
        held = await asyncio.gather(*map(self._count_held, ids))
        return sorted(
            (
                QueueSession(
                    owner=session_id[:12],
                    pid=pid,
                    host=host.decode(errors="replace"),
                    held=count,
                    seconds_left=max(0, milliseconds) / 1000,
                    is_consumer=bool(is_consumer),
                    is_draining=bool(is_draining),
                )
                for session_id, count, milliseconds, is_consumer, is_draining, pid, host in zip(
                    ids, held, *(found[place::6] for place in range(1, 6)), strict=True
                )
            ),
            key=lambda session: session.owner,
        )

    async def _count_held(self, session_id: str) -> int:
        keys = {**self._member.keys, "leased": leased_key(self._member.name, session_id)}
        count: int = await self._ask("count_held", session_id, keys=keys)
        return count

    async def drain(self, owner: str | None) -> list[str]:
        """Notify one consumer service to drain, or all; returns the owners notified."""
        return [session_id[:12].decode() for session_id in await self._operate("drain", owner or "")]
