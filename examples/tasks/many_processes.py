"""Ten messages to three worker processes; another process gathers ten results, in whatever order they come."""

import asyncio
import secrets

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Queue, QueueShutDown, Session


async def square(number: int) -> int:
    """Some work."""
    await asyncio.sleep(0.01)
    return number * number


async def work(url: str, name: str) -> None:
    """Work until the queue is shut down and empty."""
    async with Session.open(url) as session:
        numbers = Queue(session, f"{name}-numbers", int)
        squares = Queue(session, f"{name}-squares", tuple[int, int])
        while True:
            try:
                async with await numbers.get() as number:  # acknowledged only after its result is put
                    await squares.put((number, await square(number)))
            except QueueShutDown:
                return


async def gather(url: str, name: str) -> dict[int, int]:
    """Compute ten at once."""
    async with Session.open(url) as session:
        numbers = Queue(session, f"{name}-numbers", int)
        squares = Queue(session, f"{name}-squares", tuple[int, int])
        await numbers.put_many(range(10))
        await numbers.shutdown()
        found: dict[int, int] = {}
        while len(found) < 10:
            async with await squares.get() as (number, result):
                found[number] = result  # if a worker died in between, it comes twice and is the same
        return found


def main() -> None:
    """Run three workers, and a process that waits for the results."""
    name = f"squares-{secrets.token_hex(4)}"
    with server() as url:
        found, *_ = in_processes((gather, (url, name)), *[(work, (url, name))] * 3)
    print(*(found[number] for number in range(10)))


if __name__ == "__main__":
    main()
