"""The page that shows a demo while it runs: `./run demo --watch`."""

import asyncio
import json
import sys
from time import monotonic
from typing import Final

from cli.demo.processes import Process, Processes

_PORT: Final = 8080
_PATIENCE: Final = 20.0


async def show_page(processes: Processes, queue: str) -> None:
    """Start the page's server and print its address on stderr: at the usual port, or at any where that is taken."""
    for port in (_PORT, 0):
        address = await _address(processes.start_monitor(port))
        if address is not None:
            sys.stderr.write(f"demo: watch it at {address}#{queue}\n")
            sys.stderr.flush()
            return
    sys.stderr.write(f"demo: there is no page: {processes.monitors[-1].said()}\n")


async def _address(monitor: Process) -> str | None:
    """Wait until it says where the page is; None when it ends instead."""
    deadline = monotonic() + _PATIENCE
    while monotonic() < deadline:
        has_ended = monitor.code is not None
        for line in monitor.said().splitlines():
            if '"the page is served"' in line and line.endswith("}"):
                return str(json.loads(line)["address"])
        if has_ended:
            return None
        await asyncio.sleep(0.02)
    return None
