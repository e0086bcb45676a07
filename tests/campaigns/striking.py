"""Have faults strike until a campaign is long enough."""

import asyncio
import time
from collections.abc import Callable, Sequence

from shared.concurrency.session.tasks import outlast
from tests.campaigns.faults.faults import Fault
from tests.campaigns.faults.scene import Scene
from tests.campaigns.length import Length


async def strike(faults: Sequence[Fault], length: Length, scene: Scene, messages: Callable[[], float]) -> None:
    """Have all of them strike. `messages`: how many were put so far. What a fault raises is raised here."""
    striking = [asyncio.create_task(fault(scene), name="fault") for fault in faults]
    began = time.monotonic()
    try:
        while (
            time.monotonic() - began < length.seconds
            or scene.struck.total() < length.strikes
            or messages() < length.messages
        ):
            await asyncio.wait(striking, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            scene.proxy.commands.clear()
            for task in striking:
                if task.done():
                    task.result()  # a fault goes on for ever: this raises
    finally:
        for task in striking:
            task.cancel()
            await outlast(task)
