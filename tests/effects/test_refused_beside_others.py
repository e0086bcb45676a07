"""What is refused in a worker is settled by itself: whatever its worker does by then is somebody else's message."""

import asyncio

from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


async def test_one_that_is_refused_and_cancelled_at_once_leaves_the_next_alone(
    proxy: Proxy, queue: Queue[int], name: str, client: Redis
) -> None:
    # The refusal is kept back until the cancellation is there: both are read in one piece.
    kept, handed_on = list[bytes](), asyncio.Event()
    began, ended = list[int](), list[int]()

    def keep(reply: bytes) -> bytes:
        if handed_on.is_set() or not (kept or b"refused" in reply):
            return reply
        kept.append(reply)
        if b"cancel" not in reply:
            return b""
        handed_on.set()
        return b"".join(kept)

    key = f"{{{name}}}:text"
    await client.set(key, "no hash")
    async with Session.open(proxy.url) as session:

        async def handle(delivery: Delivery[int]) -> None:
            began.append(delivery.item)
            if delivery.item == 0:
                proxy.alter = keep
                delivery.effects.hincrby(key, "field")
            elif delivery.item == 1:
                await handed_on.wait()
                await asyncio.sleep(0.1)  # long enough for a cancellation to reach it
            ended.append(delivery.item)

        await queue.put(0, id="refused")
        await queue.put_many([1, 2])
        worker = Worker(Queue(session, name, int), handle, concurrency=1)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            await until(
                lambda: asyncio.sleep(0, (list(kept), list(began))), lambda seen: bool(seen[0]) and 1 in seen[1]
            )
            await queue.cancel("refused", timeout=0)
            await until(lambda: asyncio.sleep(0, list(ended)), lambda seen: 2 in seen)
            worker.drain()
            await working
    assert (began, ended) == ([0, 1, 2], [0, 1, 2])
    assert (await queue.statistics()).nacked_total == 0
