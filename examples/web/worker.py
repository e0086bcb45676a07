"""The worker: takes pictures out of the queue, says how far it is, and returns their size."""

import asyncio

from examples.web.pictures import URL, Size, pictures
from shared.concurrency import Session

_STEPS = 4


async def work() -> None:
    """Resize until the queue is shut down."""
    async with Session.open(URL) as session:
        async for delivery in pictures(session):
            for step in range(_STEPS):
                await delivery.progress(step / _STEPS, f"step {step + 1} of {_STEPS}")
                await asyncio.sleep(0.05)  # the work
            width = delivery.item.width
            await delivery.ack(result=Size(width=width, height=width * 3 // 4))


if __name__ == "__main__":
    asyncio.run(work())
