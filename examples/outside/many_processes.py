"""A process books and is killed before it acknowledges; another gets the message, which the ledger already knows."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.outside.ledger import Ledger
from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Queue, Session

TTL = 1.0


async def order(url: str, name: str) -> None:
    """Put one order."""
    async with Session.open(url, ttl=TTL) as session:
        await Queue(session, name, int).put(100, id="order-1")


async def work(url: str, name: str, path: str) -> list[str]:
    """Take the message that is delivered for the second time, and book it."""
    ledger = Ledger(path)
    async with Session.open(url, ttl=TTL) as session:
        delivery = await Queue(session, name, int).get()
        async with delivery as amount:
            new = ledger.book(delivery.id, amount)
    lines = [f"attempt {delivery.attempt} of {delivery.id}: {'booked' if new else 'booked before'}"]
    lines.append(f"the ledger holds {ledger.total()}")
    ledger.close()
    return lines


async def work_and_die(url: str, name: str, path: str) -> None:
    """Book, and end as `kill -9` ends a process: nothing is acknowledged."""
    async with Session.open(url, ttl=TTL) as session:
        delivery = await Queue(session, name, int).get()
        Ledger(path).book(delivery.id, delivery.item)
        os.kill(os.getpid(), signal.SIGKILL)


_DIE = "import asyncio, sys; from examples.outside.many_processes import work_and_die as die; asyncio.run(die(*sys.argv[1:]))"


def main() -> None:
    """Three processes, one after the other."""
    name = f"bookings-{secrets.token_hex(4)}"
    with server() as url, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "ledger.sqlite")
        in_processes((order, (url, name)))
        died = subprocess.run([sys.executable, "-c", _DIE, url, name, path], check=False)
        print("the first was killed after it had booked:", died.returncode == -signal.SIGKILL)
        ((first, second),) = in_processes((work, (url, name, path)))
    print(first, second, sep="\n")


if __name__ == "__main__":
    main()
