"""Steady: an address that leads to one place for ever, as far as anybody says."""

import asyncio

from shared.concurrency.session.address.endpoint import Endpoint


class Steady:
    """Nobody says that a connection should be left; a server that serves no more is found out by asking it."""

    leads_to_primary = False

    def is_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # it leads to one place
        """Never."""
        return False

    async def has_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # as above
        """Never."""
        return False

    def watch(self, connection: object) -> None:
        """It never is left."""

    async def left(self, endpoint: Endpoint) -> None:  # noqa: ARG002  # as above
        """Wait for ever."""
        await asyncio.Event().wait()
