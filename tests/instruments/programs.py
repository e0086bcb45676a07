"""What the processes of tests/faults/test_processes.py do: each an async function that reports what happens."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from consumer.executors.dispatch import Dispatch
from consumer.rules.handler import Handler, Place
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, Queue, ServerRefused, Session, StaleDelivery
from shared.concurrency.queues.service import notified_to_drain
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments import inside
from tests.instruments.handlers import HANG
from tests.instruments.messages import Errand
from tests.instruments.processes import report


@asynccontextmanager
async def joined(url: str, name: str, ttl: float) -> AsyncIterator[Queue[int]]:
    """A queue of numbers, in a session of this process."""
    async with Session.open(url, ttl=ttl) as session:
        yield Queue(session, name, int)


async def produce(url: str, name: str, ttl: float, first: int, count: int) -> None:
    """Put numbers one after the other; says `putting` before each put and `put` when it returned."""
    async with joined(url, name, ttl) as queue:
        report("ready")
        for number in range(first, first + count):
            report("putting", number)
            await queue.put(number)
            report("put", number)
    report("end")


async def produce_when_told(url: str, name: str, ttl: float) -> None:
    """Put 1, and 2 at a SIGUSR1; says `put` each time, or `refused` and why."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    async with joined(url, name, ttl) as queue:
        for number in (1, 2):
            try:
                await queue.put(number)
            except ServerRefused as error:
                report("refused", str(error))
            else:
                report("put", number)
            await told.wait()
    report("end")


async def produce_many(url: str, name: str, ttl: float, first: int, count: int) -> None:
    """Put numbers with as many waiting puts as the line takes."""
    async with joined(url, name, ttl) as queue:
        report("ready")
        async with asyncio.TaskGroup() as puts:
            for number in range(first, first + count):
                puts.create_task(_put(queue, number))
    report("end")


async def _put(queue: Queue[int], number: int) -> None:
    await queue.put(number)
    report("put", number)


async def put_one(url: str, name: str, ttl: float, number: int, id_: str) -> None:
    """Put a number under an id; says `ready` before, and then what came of it: `put`, or `raised` and the error."""
    async with joined(url, name, ttl) as queue:
        await queue.statistics()
        report("ready")
        try:
            report("put", await queue.put(number, id=id_))
        except ConcurrencyError as error:
            report("raised", type(error).__name__)
    report("end")


async def consume(url: str, name: str, ttl: float) -> None:
    """Take and acknowledge until the queue is shut down; says `got` before the ack, and `acked` when it returned."""
    async with joined(url, name, ttl) as queue:
        report("ready")
        async for delivery in queue:
            report("got", delivery.item)
            try:
                await delivery.ack()
            except StaleDelivery:
                report("stale", delivery.item)
            else:
                report("acked", delivery.item)
    report("end")


async def hold(url: str, name: str, ttl: float, count: int) -> None:
    """Take some deliveries and keep them until the process is killed."""
    async with joined(url, name, ttl) as queue:
        report("ready")
        held = []
        for _ in range(count):
            held.append(await queue.get())
            report("got", held[-1].item)
        await asyncio.Event().wait()


async def ack_when_continued(url: str, name: str, ttl: float) -> None:
    """Take one, say so, and try to acknowledge it once time has jumped, as after SIGSTOP; then go on."""
    async with joined(url, name, ttl) as queue:
        delivery = await queue.get()
        before = asyncio.get_running_loop().time()
        report("got", delivery.item)
        await _until_time_jumps(before, ttl / 2)
        try:
            await delivery.ack()
        except StaleDelivery:
            report("stale", delivery.item)
        else:
            report("acked", delivery.item)
        await _one_more(queue)


async def handle_when_stopped(url: str, name: str, ttl: float) -> None:
    """Work on one inside `async with` until cancelled; say what the block raises; then go on."""
    async with joined(url, name, ttl) as queue:
        delivery = await queue.get()
        try:
            async with delivery as item:
                report("got", item)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    report("cancelled", item)
                    raise
        except StaleDelivery:
            report("stale", delivery.item)
        await _one_more(queue)


async def _one_more(queue: Queue[int]) -> None:
    async with await queue.get() as item:
        report("went on with", item)


async def _until_time_jumps(before: float, seconds: float) -> None:
    """Wait for a stop of so many seconds; BEFORE was read before anybody was told that we can be stopped."""
    loop = asyncio.get_running_loop()
    while loop.time() - before < seconds:
        before = loop.time()
        await asyncio.sleep(0.01)


async def work(url: str, name: str, ttl: float) -> None:
    """Run the consumer service's worker until killed; says `handled` with each message and its attempt."""

    async def handle(delivery: Delivery[int]) -> None:
        report("handled", [delivery.item, delivery.attempt])

    async with joined(url, name, ttl) as queue:
        await Worker(queue, handle).run()


async def serve(url: str, name: str, ttl: float) -> None:
    """Be a consumer service, as far as the queue sees it: says `ready` when it is known as one, and `drained`."""
    async with joined(url, name, ttl) as queue:

        async def handle(delivery: Delivery[int]) -> None:
            report("got", delivery.item)

        worker = Worker(queue, handle, concurrency=2)
        told = asyncio.create_task(notified_to_drain(queue))
        working = asyncio.create_task(worker.run())
        await queue.statistics()
        report("ready", inside.owner_at(queue))
        await told
        worker.drain()
        await working
        report("drained")
    report("end")


async def replay(url: str, name: str, ttl: float) -> None:
    """Put all dead letters back; says `replaying` before, and then how many went."""
    async with joined(url, name, ttl) as queue:
        await queue.statistics()
        report("replaying")
        report("replayed", await queue.replay())
    report("end")


async def obey_orders(url: str, name: str, ttl: float, place: Place = "process") -> None:
    """Run the consumer service's worker until killed; its handler obeys, in a process of its own or elsewhere."""
    settings = Settings(redis_url=SecretStr(url), queue=name, session_ttl=ttl, maxsize=0)
    async with (
        open_pipeline(settings) as pipeline,
        Dispatch({Errand: Handler(HANG[place], place, Rules())}, pipeline) as handling,
    ):
        report("ready")
        await Worker(pipeline.queue, handling.handle, rules=handling.rules).run()
