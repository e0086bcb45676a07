"""A producer and two consumers on a queue of five."""

import asyncio


async def produce(queue: asyncio.Queue[int]) -> int:
    """Put twenty; return the largest size of the queue."""
    most = 0
    for number in range(20):
        await queue.put(number)  # waits while it is full
        most = max(most, queue.qsize())
    return most


async def consume(queue: asyncio.Queue[int], used: list[int]) -> None:
    """Use items until cancelled."""
    while True:
        number = await queue.get()
        await asyncio.sleep(0.005)
        used.append(number)
        queue.task_done()


async def main() -> None:
    """Run until all items are used."""
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=5)
    used: list[int] = []
    consumers = [asyncio.create_task(consume(queue, used)) for _ in range(2)]
    most = await produce(queue)
    await queue.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    print(len(set(used)), "used, never more than 5 in the queue:", most <= 5)


if __name__ == "__main__":
    asyncio.run(main())
