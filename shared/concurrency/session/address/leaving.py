"""Leaving: a connection that works is left when its address leads elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.tasks import end


@contextlib.asynccontextmanager
async def leaving(address: Address, connection: Any) -> AsyncIterator["asyncio.Future[None]"]:
    """A future that is done once the address leads elsewhere than the connection."""
    if not address.leads_to_primary:
        yield asyncio.get_running_loop().create_future()
        return
    task = asyncio.create_task(address.left(Endpoint(connection.host, connection.port)), name="weir-leaving")
    try:
        yield task
    finally:
        await end(task)
