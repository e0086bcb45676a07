"""Two processes at each stage, and one that puts orders; one is killed with -9 every second while they work.

`python -m examples.stages.many_processes [ORDERS]`
"""

import asyncio
import contextlib
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator

import redis.asyncio

from examples.server import server
from examples.stages.shop import STAGES, TTL, Shop, expected, order
from shared.concurrency import Session
from shared.local.parent_death import tied

_WORKERS = 2
_KILL_EVERY = 1.0


async def put_orders(url: str, name: str, count: int) -> None:
    """Put the orders; this process is never killed."""
    async with Session.open(url, ttl=TTL) as session:
        orders = Shop.of(session, name).orders
        await orders.put_many(order(number) for number in range(count))


class Staff:
    """The processes at the stages. Killed ones are replaced."""

    def __init__(self, url: str, name: str) -> None:
        """Start the processes."""
        self._arguments = (url, name)
        self.processes = {f"{stage} {number}": self._start(stage) for stage in STAGES for number in range(_WORKERS)}
        self.kills = 0

    def _start(self, stage: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "examples.stages.one_stage", *self._arguments, stage]
        return subprocess.Popen(command, preexec_fn=tied(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: PLW1509

    async def at_work(self) -> None:
        """Wait until all processes are at work.

        :raises RuntimeError: when one has ended without being killed.
        """
        for process in self.processes.values():
            if process.stdout is not None and not process.stdout.closed:
                await asyncio.to_thread(process.stdout.readline)
                process.stdout.close()
        if ended := [place for place, process in self.processes.items() if process.poll() is not None]:
            raise RuntimeError(f"they have ended without being killed: {', '.join(ended)}")

    async def kill_one(self) -> None:
        """Kill a process with -9 once all are at work, and start another in its place."""
        await self.at_work()
        place = random.choice(list(self.processes))  # noqa: S311  # no secret
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._start(place.split()[0])
        self.kills += 1

    def end(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def staffed(url: str, name: str) -> Iterator[Staff]:
    """Start the processes; end them at the end of the block."""
    staff = Staff(url, name)
    try:
        yield staff
    finally:
        staff.end()


async def run(url: str, count: int, kill_every: float = _KILL_EVERY) -> tuple[dict[str, int], int, int]:
    """Put `count` orders and wait until all are shipped.

    Returns what was counted, how many processes were killed, and how many dead letters there are.
    """
    name = f"shop-{secrets.token_hex(4)}"
    with staffed(url, name) as staff:
        async with Session.open(url, ttl=TTL) as session, redis.asyncio.Redis.from_url(url) as client:
            shop = Shop.of(session, name)
            putting = asyncio.create_task(put_orders(url, name, count))
            finishing = asyncio.create_task(_finished(shop, putting))
            while not finishing.done():
                await asyncio.wait({finishing}, timeout=kill_every)
                if not finishing.done():
                    await staff.kill_one()
            await finishing
            counts = {field.decode(): int(value) for field, value in (await client.hgetall(shop.counts)).items()}
            dead = sum([(await queue.statistics()).dead for queue in (shop.orders, shop.priced, shop.booked)])
            await _forget(client, name)
    return counts, staff.kills, dead


async def _finished(shop: Shop, putting: "asyncio.Task[None]") -> None:
    """Wait stage by stage: what one has acknowledged, the next has."""
    await putting
    for queue in (shop.orders, shop.priced, shop.booked):
        await queue.join()


async def _forget(client: "redis.asyncio.Redis", name: str) -> None:
    async for key in client.scan_iter(match=f"{{{name}}}*", count=1000):
        await client.delete(key)


def main() -> None:
    """Run and compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with server() as url:
        counts, kills, dead = asyncio.run(run(url, count))
    print(f"{count} orders, {kills} processes killed; exact: {counts == expected(count)}, dead letters: {dead}")


if __name__ == "__main__":
    main()
