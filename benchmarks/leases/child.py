"""One process of the benchmark of locks: `python -m benchmarks.leases.child ACTION ADAPTER URL COUNT SIZE`.

An adapter has `await open(url)`; what it returns has `await acquire()` and `await release(what acquire returned)`.
"""

import asyncio
import importlib
import sys
import time
from typing import Any

from benchmarks.child import report, run


async def cycle(client: Any, count: int) -> None:
    """Acquire and release, alone."""
    await client.release(await client.acquire())
    started = time.perf_counter()
    for _ in range(count):
        await client.release(await client.acquire())
    report(seconds=time.perf_counter() - started)


async def obey(client: Any, count: int) -> None:  # noqa: ARG001
    """Acquire and release on orders from stdin, and report the times; by the monotonic clock of the machine."""
    report(ready=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    held: Any = None
    while order := await orders.readline():
        if order == b"acquire\n":
            held = await client.acquire()
            report(at=time.monotonic())
        else:
            at = time.monotonic()
            await client.release(held)
            report(at=at)


async def main() -> None:
    """Do one action."""
    action, name, url, count, *_ = sys.argv[1:]
    adapter = importlib.import_module(name)
    client = await adapter.open(url)
    if action == "reads":
        report(seconds=await adapter.reads(client, int(count)))
    else:
        await {"cycle": cycle, "obey": obey}[action](client, int(count))


if __name__ == "__main__":
    run(main())
