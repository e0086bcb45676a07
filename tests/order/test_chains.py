"""Whatever is done to a queue with keys, after each step the chain of each key is whole (rule 18), and all ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random

import pytest
import redis
from redis.asyncio import Redis

from shared.concurrency import (
    Delivery,
    MessageCancelled,
    Queue,
    QueueShutDown,
    ResultFuture,
    Session,
    StaleDelivery,
)
from tests.instruments import inside
from tests.instruments.emptying import drain
from tests.instruments.order import check_orders
from tests.instruments.waiting import until
from tests.order.watching import at_rest

Step = Callable[[], Awaitable[object]]


class Steps:
    """All that may be done, one step after the other, by seed."""

    def __init__(self, client: Redis, sessions: list[Session], name: str) -> None:
        """Begin with an empty queue."""
        self.random = Random()  # noqa: S311  # no secret
        self._client, self._sessions, self._name = client, sessions, name
        self.queue = Queue(sessions[0], name, int, max_attempts=3, max_crashes=2)
        self.theirs = Queue(sessions[1], name, int)
        self._held: list[tuple[Queue[int], Delivery[int]]] = []
        self._futures: list[ResultFuture[object]] = []
        self._putting: list[asyncio.Task[bool]] = []
        self._ids: list[str] = []
        self._count = 0
        steps: list[tuple[int, Step]] = [
            (10, self.put), (10, self.take), (4, self.ack), (2, self.nack), (2, self.let_pass), (1, self.give_back),
            (1, self.bury), (2, self.submit), (2, self.cancel), (1, self.crash), (1, self.forward), (1, self.replay),
            (1, self.end_all), (4, self.wait), (4, self.cancel_message),
        ]  # fmt: skip
        self._steps = [step for weight, step in steps for _ in range(weight)]

    async def one(self) -> str:
        """Do one step; what it is called."""
        step = self.random.choice(self._steps)
        try:
            await step()
        except StaleDelivery as stale:
            if "was cancelled" not in str(stale):
                raise
        return step.__name__

    def _key(self) -> str:
        return f"k{self.random.randrange(3)}"

    async def put(self) -> None:
        """Put some, as far as there is room."""
        for _ in range(self.random.choice([1, 1, 4])):
            self._count += 1
            try:
                await self.queue.put_nowait(self._count, key=self._key())
            except asyncio.QueueFull:
                return

    async def wait(self) -> None:
        """Put one under an id, which waits where there is no room."""
        self._count += 1
        self._ids.append(f"id-{self._count}")
        put = self.random.choice([self.queue, self.theirs]).put
        self._putting.append(asyncio.create_task(put(self._count, id=self._ids[-1], key=self._key())))
        await asyncio.sleep(0.002)

    async def cancel_message(self) -> None:
        """Cancel one of the last that were put under an id, wherever it is."""
        if self._ids:
            await self.theirs.cancel(self.random.choice(self._ids[-5:]), timeout=0)

    async def submit(self) -> None:
        """Submit one, which may be cancelled."""
        self._count += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                self._futures.append(await self.queue.submit(self._count, key=self._key()))

    async def cancel(self) -> None:
        """Cancel what was submitted first."""
        if self._futures:
            self._futures.pop(0).cancel()

    async def take(self) -> None:
        """Take one, where there is one."""
        by = self.random.choice([self.queue, self.theirs])
        with contextlib.suppress(asyncio.QueueEmpty):
            self._held.append((by, await by.get_nowait()))

    def _one_held(self) -> Delivery[int] | None:
        self.random.shuffle(self._held)
        return self._held.pop()[1] if self._held else None

    async def ack(self) -> None:
        """Acknowledge one."""
        if delivery := self._one_held():
            await delivery.ack()

    async def nack(self) -> None:
        """Have one fail."""
        if delivery := self._one_held():
            await delivery.nack(delay=self.random.choice([0, 0.01]))

    async def let_pass(self) -> None:
        """Have one fail that lets the others of its key pass."""
        if delivery := self._one_held():
            await delivery.nack(delay=self.random.choice([0, 0.01]), hold_key=False)

    async def give_back(self) -> None:
        """Give one back."""
        if delivery := self._one_held():
            await inside.return_of(delivery)

    async def bury(self) -> None:
        """Make a dead letter of one."""
        if delivery := self._one_held():
            await delivery.dead_letter("no")

    async def forward(self) -> None:
        """Acknowledge one with puts of the same and of another key into the same queue."""
        if self._held:
            by, delivery = self._held.pop()
            for key in (delivery.key, self._key()):
                self._count += 1
                delivery.effects.put(by, self._count, key=key)
            await delivery.ack()

    async def crash(self) -> None:
        """Have the second process lose its session."""
        await inside.crash(self._client, self._sessions[0], self._name, self._sessions[1])
        self._held = [(by, delivery) for by, delivery in self._held if by is not self.theirs]

    async def replay(self) -> None:
        """Put dead letters back."""
        await self.queue.replay()

    async def end_all(self) -> None:
        """Shut the queue down at once, and open it again."""
        await self.queue.shutdown(immediate=True)
        await self.queue.reopen()

    async def finish(self) -> None:
        """Settle all that is left, until all that waited went in, or learned why not."""
        for _, delivery in self._held:
            with contextlib.suppress(StaleDelivery):
                await delivery.ack()
        while not all(putting.done() for putting in self._putting):
            await drain(self.queue)
            await asyncio.sleep(0.01)
        await until(self.queue.statistics, lambda seen: seen.leased == 0)
        while (await self.queue.statistics()).delayed:
            await drain(self.queue)
        await drain(self.queue)
        for outcome in await asyncio.gather(*self._putting, return_exceptions=True):
            assert outcome is True or isinstance(outcome, (MessageCancelled, QueueShutDown)), outcome
        for future in self._futures:
            future.cancel()


@pytest.fixture
async def steps(both: list[Session], client: Redis, name: str) -> Steps:
    """Steps at a queue of two sessions."""
    return Steps(client, both, name)


async def walk(steps: Steps, url: str, seed: int, maxsize: int, count: int) -> None:
    """Take so many steps, and look at the chains after each."""
    steps.random.seed(seed)
    await steps.queue.resize(maxsize)
    with redis.Redis.from_url(url) as looking:
        for _ in range(count):
            name = await steps.one()
            try:
                check_orders(looking, [f"{{{steps.queue.full_name}}}"])
            except AssertionError as error:
                raise AssertionError(f"after {name}") from error
    await steps.finish()
    await at_rest(steps.queue)


@pytest.mark.parametrize("seed, maxsize", [(1, 0), (2, 8), (3, 1)])
async def test_after_each_step_the_chains_are_whole(steps: Steps, url: str, seed: int, maxsize: int) -> None:
    await walk(steps, url, seed, maxsize, 120)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed, maxsize", [(seed, maxsize) for seed in range(4, 8) for maxsize in (0, 4, 16)])
async def test_after_each_of_many_steps_the_chains_are_whole(steps: Steps, url: str, seed: int, maxsize: int) -> None:
    await walk(steps, url, seed, maxsize, 1000)
