"""Threads for the clients of peers that block: as many wait for results as a workload has in flight.

Standard library only: it runs in the environments of peers.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

_POOL: Final = ThreadPoolExecutor(100)


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a blocking call returns."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, call, *arguments)
