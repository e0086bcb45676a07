"""A producer process and two consumer processes on a queue of five."""

import asyncio
import secrets

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Queue, QueueShutDown, Session


async def produce(url: str, name: str) -> int:
    """Put twenty; return the largest size of the queue."""
    most = 0
    async with Session.open(url) as session:
        queue = Queue(session, name, int, maxsize=5)
        for number in range(20):
            await queue.put(number)  # waits while it is full
            most = max(most, await queue.qsize())
        await queue.join()
        await queue.shutdown()
    return most


async def consume(url: str, name: str) -> list[int]:
    """Use items until the queue is shut down."""
    used: list[int] = []
    async with Session.open(url) as session:
        queue = Queue(session, name, int, maxsize=5)
        while True:
            try:
                async with await queue.get() as number:  # the end of the block is task_done()
                    await asyncio.sleep(0.005)
                    used.append(number)
            except QueueShutDown:
                return used


def main() -> None:
    """Run until all items are used."""
    name = f"numbers-{secrets.token_hex(4)}"
    with server() as url:
        most, *used = in_processes((produce, (url, name)), *[(consume, (url, name))] * 2)
    print(len({number for numbers in used for number in numbers}), "used, never more than 5 in the queue:", most <= 5)


if __name__ == "__main__":
    main()
