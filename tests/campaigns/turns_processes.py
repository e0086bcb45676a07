"""What the processes of the campaign `turns` do: some put into a small queue, one takes, all write down when."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Final

from shared.concurrency import ConcurrencyError, LeaseLost, Queue, Session
from tests.campaigns.fleet_processes import only_errors
from tests.instruments.processes import report

TASKS: Final = 8


async def put(url: str, name: str, ttl: float, folder: str) -> None:
    """Put one after the other in each of some tasks, until killed or SIGTERM. Lines: `asks` or `in`, what, when."""
    only_errors()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    path = Path(folder) / f"puts-{os.getpid()}-{time.monotonic_ns()}"
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)

    async def go_on(queue: Queue[str], task: int) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            item = f"{os.getpid()}.{task}.{number}"
            os.write(file, f"asks {item} {time.monotonic_ns()}\n".encode())
            try:
                await queue.put(item)
            except ConcurrencyError:
                continue  # nobody knows whether it is in
            os.write(file, f"in {item} {time.monotonic_ns()}\n".encode())

    async with Session.open(url, ttl=ttl, connect_timeout=60.0) as session:
        queue = Queue(session, name, str)
        report("ready")
        await asyncio.gather(*(go_on(queue, task) for task in range(TASKS)))


async def take(url: str, name: str, ttl: float, folder: str) -> None:
    """Take one after the other until killed. Lines: what came out."""
    only_errors()
    file = os.open(Path(folder) / "taken", os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
    async with Session.open(url, ttl=ttl, connect_timeout=60.0) as session:
        queue = Queue(session, name, str)
        report("ready")
        while True:
            delivery = await queue.get()
            os.write(file, f"{delivery.item}\n".encode())
            try:
                await delivery.ack()
            except LeaseLost:
                continue  # it comes again
