"""One process of the benchmark of locks: `python -m benchmarks.leases.child ACTION ADAPTER URL COUNT SIZE`.

An adapter has `await open(url)`, which gives something with `await acquire()` and `await release(what acquire gave)`.
"""

import asyncio
import importlib
import sys
import time
from typing import Any

from benchmarks.child import run, say


async def cycle(client: Any, count: int) -> None:
    """Acquire and release, alone."""
    await client.release(await client.acquire())
    started = time.perf_counter()
    for _ in range(count):
        await client.release(await client.acquire())
    say(seconds=time.perf_counter() - started)


async def obey(client: Any, count: int) -> None:  # noqa: ARG001
    """Acquire and release when told to, and say at what time; the clock is that of the machine."""
    say(ready=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    held: Any = None
    while order := await orders.readline():
        if order == b"acquire\n":
            held = await client.acquire()
            say(at=time.monotonic())
        else:
            at = time.monotonic()
            await client.release(held)
            say(at=at)


async def main() -> None:
    """Do one action."""
    action, name, url, count, *_ = sys.argv[1:]
    adapter = importlib.import_module(name)
    client = await adapter.open(url)
    if action == "reads":
        say(seconds=await adapter.reads(client, int(count)))
    else:
        await {"cycle": cycle, "obey": obey}[action](client, int(count))


if __name__ == "__main__":
    run(main())
