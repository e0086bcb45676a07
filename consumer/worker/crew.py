"""Crew: the workers of a consumer service, one for each queue that it takes from."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from consumer.worker.worker import Worker
from shared.concurrency import Queue
from shared.concurrency.queues.service import left_leased, lost_so_far, notified_to_drain
from shared.log_context import described_by
from shared.message import Message

Describe = Callable[[Any, str], dict[str, object]]
"""What names a delivery of a queue in the log."""


class Crew:
    """Runs them side by side; they have their numbers of deliveries each, and drain together."""

    def __init__(self, workers: Mapping[Queue[Message], Worker[Message]], describe: Describe) -> None:
        """Prepare; `describe` is set once for each queue, so that a message pays nothing for it."""
        self._workers: Final = dict(workers)
        self._describe: Final = describe

    async def run(self) -> None:
        """Work until all are drained, or their queues are shut down and finished; one that fails ends the others.

        :raises ConcurrencyError: when the server refuses to serve one of the queues.
        """
        running = [asyncio.create_task(self._run(queue, worker)) for queue, worker in self._workers.items()]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
            for task in running:
                if task.done():
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def _run(self, queue: Queue[Message], worker: Worker[Message]) -> None:
        described_by.set(partial(self._described, queue.full_name))
        await worker.run()

    def _described(self, queue: str, work: Any) -> dict[str, object]:
        return self._describe(work, queue)

    async def stop(self, grace: float) -> None:
        """Drain all of them, as Worker.stop."""
        await asyncio.gather(*(worker.stop(grace) for worker in self._workers.values()))

    async def notified(self) -> None:
        """Wait until this process is notified to drain, by way of any of its queues."""
        waiting = [asyncio.create_task(notified_to_drain(queue)) for queue in self._workers]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    @property
    def handled(self) -> int:
        """How many deliveries have been handled to a clean end so far."""
        return sum(worker.handled for worker in self._workers.values())

    @property
    def lost(self) -> int:
        """How many deliveries were lost with sessions that passed their deadline."""
        return sum(map(lost_so_far, self._workers))

    @property
    def left_leased(self) -> int:
        """How many deliveries the end of the session could not give back."""
        return sum(map(left_leased, self._workers))
