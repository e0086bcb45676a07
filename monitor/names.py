"""Names: which queues and leases there are, found by going through all keys, now and then."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.exceptions import ResponseError

from monitor.link import Link
from shared.concurrency import ConcurrencyError, ServerRefused
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.clock import boottime

EVERY: Final = 30.0
"""Seconds between two looks at all keys."""
MOST_LEASES: Final = 500
_A_PAGE: Final = 1000
_QUEUE: Final = re.compile(rb"\{([A-Za-z0-9_.-]{1,64})\}(/[A-Za-z0-9_.-]{1,64})?:settings")
_LEASE: Final = re.compile(rb"\{([A-Za-z0-9_.-]{1,64}|~[0-9a-f]{24})\}:lease(:holders|:waiting)?")


class Names:
    """The names of queues and leases, as of the last look, which goes through all keys, 1000 at a time."""

    def __init__(self, link: Link) -> None:
        """Begin with none; `look` looks."""
        self._link: Final = link
        self.queues: tuple[str, ...] = ()
        """Sorted, GROUP/NAME in a group."""
        self.leases: tuple[str, ...] = ()
        """As their keys have them, sorted: those that are held or waited for first, 500 at most."""
        self.leases_left_out = 0
        self.looked_at = -1e9
        """When that was, by the local clock."""

    async def look(self) -> None:
        """Go through all keys once, a page at a time.

        :raises ServerUnavailable: when the server does not answer, ServerRefused when it does not let us list keys.
        """
        queues: set[str] = set()
        leases: dict[str, bool] = {}
        for server in await self._link.servers():
            async for key in self._keys(server):
                if match := _QUEUE.fullmatch(key):
                    queues.add((match[1] + (match[2] or b"")).decode())
                elif match := _LEASE.fullmatch(key):
                    name = match[1].decode()
                    leases[name] = leases.get(name, False) or match[2] is not None
        first = sorted(leases, key=lambda name: (not leases[name], name))[:MOST_LEASES]
        self.queues, self.leases = tuple(sorted(queues)), tuple(sorted(first))
        self.leases_left_out = len(leases) - len(first)
        self.looked_at = boottime()

    async def _keys(self, server: Endpoint | None) -> AsyncIterator[bytes]:
        """The keys of one server that have a tag."""
        cursor: int | None = None
        while cursor != 0:
            (answer,) = await self._link.commands([("SCAN", cursor or 0, "MATCH", "{*}*", "COUNT", _A_PAGE)], server)
            if isinstance(answer, ResponseError):
                raise ServerRefused(f"the server does not let us list the queues: {answer}") from answer
            cursor, keys = answer
            for key in keys:
                yield key

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Look every 30 s, while the block runs."""
        looking = asyncio.create_task(self._go_on(), name="weir-names")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            with suppress(ConcurrencyError):  # the names are as old as the snapshot says
                await self.look()
