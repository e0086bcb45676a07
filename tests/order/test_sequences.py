"""Any sequence of puts, settlements and crashes leaves each key in order, one at a time: what was put is done."""

import asyncio
from collections import defaultdict
from random import Random

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, Session
from tests.instruments import inside
from tests.order.watching import at_rest


class Run:
    """One sequence, by seed: two processes put and take; what each key was put, and how it was done."""

    def __init__(self, client: Redis, sessions: list[Session], name: str, seed: int, maxsize: int) -> None:
        """Begin with an empty queue."""
        self.random = Random(seed)  # noqa: S311  # no secret
        self.client, self.sessions, self.name = client, sessions, name
        self.queues = [
            Queue(session, name, int, maxsize=maxsize, max_attempts=999, max_crashes=None) for session in sessions
        ]
        self.key_of: dict[int, str | None] = {}
        self.puts: dict[str | None, list[int]] = defaultdict(list)
        self.done: dict[str | None, list[int]] = defaultdict(list)
        self.held: list[list[Delivery[int]]] = [[] for _ in sessions]
        self.putting: list[asyncio.Task[None]] = []
        self.passed: set[int] = set()
        """Those that let others of their key pass."""

    def put(self) -> None:
        """Put some, of several keys; the tasks of one process begin in this order."""
        items = range(len(self.key_of), len(self.key_of) + self.random.choice([1, 1, 5, 30]))
        for item in items:
            rest = self.random.random()
            self.key_of[item] = "hot" if rest < 0.3 else None if rest < 0.4 else f"k{self.random.randrange(12)}"
            self.puts[self.key_of[item]].append(item)
        self.putting.append(asyncio.create_task(self.queues[0].put_many(items, key=self.key_of.__getitem__)))

    async def take(self) -> None:
        """Take what is there, up to a few, by one process."""
        at = self.random.randrange(len(self.queues))
        for _ in range(self.random.choice([1, 3, 10])):
            if (await self.queues[at].statistics()).pending + (await self.queues[at].statistics()).delayed == 0:
                return
            try:
                async with asyncio.timeout(0.02):
                    self.held[at].append(await self.queues[at].get())
            except TimeoutError:
                return
        keys = [delivery.key for held in self.held for delivery in held if delivery.key is not None]
        assert len(keys) == len(set(keys)), "two of one key are in hands"

    async def settle(self) -> None:
        """Settle some of what one process holds, each in some way."""
        at = self.random.randrange(len(self.queues))
        self.random.shuffle(self.held[at])
        for _ in range(self.random.randrange(len(self.held[at]) + 1)):
            delivery = self.held[at].pop()
            how = self.random.random()
            if how < 0.75:
                self.done[self.key_of[delivery.item]].append(delivery.item)
                await delivery.ack()
            elif how < 0.85:
                await delivery.nack(delay=self.random.choice([0, 0.005]))
            elif how < 0.9:
                self.passed.add(delivery.item)
                await delivery.nack(hold_key=False, delay=self.random.choice([0, 0.005]))
            else:
                await inside.return_of(delivery)

    async def crash(self) -> None:
        """Have one process lose its session, and the other one recover what it held."""
        at = self.random.randrange(len(self.sessions))
        await inside.crash(self.client, self.sessions[1 - at], self.name, self.sessions[at])
        self.held[at].clear()

    def check(self) -> None:
        """AssertionError when a key was not done as it was put. Those that let others pass are done later."""
        for key, puts in self.puts.items():
            done = self.done[key]
            assert sorted(done) == puts, f"{key}: lost or twice"
            if key is not None:
                stayed = [item for item in done if item not in self.passed]
                assert stayed == [item for item in puts if item not in self.passed], f"{key} is out of order"


async def play(run: Run, count: int) -> None:
    """Put so many, and end all."""
    while len(run.key_of) < count or sum(map(len, run.done.values())) < len(run.key_of):
        waits = sum(not task.done() for task in run.putting)
        if len(run.key_of) < count and waits < 5:
            run.put()
        await run.take()
        await run.settle()
        if run.random.random() < 0.05:
            await run.crash()
    async with asyncio.timeout(40):
        await asyncio.gather(*run.putting)
    run.check()
    await at_rest(run.queues[0])


@pytest.mark.parametrize("seed, maxsize", [(0, 0), (1, 24)])
async def test_each_key_is_done_as_it_was_put(
    both: list[Session], client: Redis, name: str, seed: int, maxsize: int
) -> None:
    await play(Run(client, both, name, seed, maxsize), 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed, maxsize", [(seed, maxsize) for seed in range(2, 6) for maxsize in (0, 8, 40)])
async def test_each_key_is_done_as_it_was_put_in_long_runs(
    both: list[Session], client: Redis, name: str, seed: int, maxsize: int
) -> None:
    await play(Run(client, both, name, seed, maxsize), 400)
