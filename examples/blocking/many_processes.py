"""A plain script: several processes that know no asyncio share a queue and a lock."""

import secrets
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from examples.server import server
from shared.concurrency.blocking import BlockingSession


def work(url: str, name: str) -> int:
    """Double numbers until the queue is shut down; the lock lets one process write at a time."""
    done = 0
    with BlockingSession(url) as session:
        lock = session.lock(name)
        for delivery in session.queue(name, int):
            with lock as lease:
                lease.check()
                delivery.ack(result=2 * delivery.item)
            done += 1
    return done


def ask(url: str, name: str) -> list[int]:
    """Submit ten numbers, and have the results in the order in which they come."""
    with BlockingSession(url) as session:
        queue = session.queue(name, int, maxsize=5)
        results = [queue.submit(number) for number in range(10)]
        found = [result.result() for result in as_completed(results, timeout=30)]
        queue.shutdown()
    return found


def main() -> None:
    """Run two workers and one that asks."""
    name = f"numbers-{secrets.token_hex(4)}"
    with server() as url, ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        workers = [processes.submit(work, url, name) for _ in range(2)]
        found = processes.submit(ask, url, name).result()
        done = sum(worker.result() for worker in workers)
    sys.stdout.write(f"{sorted(found)} by {done} deliveries\n")


if __name__ == "__main__":
    main()
