"""DeadNotices: calls the application's hook for each message that becomes a dead letter."""

import asyncio
from types import TracebackType
from typing import Final, Self

from consumer.hooks import OnDeadLetter
from shared.concurrency.queues.service import DeadNotice
from shared.logs import Log
from shared.pipeline import Pipeline

log = Log("consumer")

LAST_SECONDS: Final = 5.0
"""How long the end of the service waits for calls that are left."""


class DeadNotices:
    """One call at a time, in order, beside the handlers. Use it as an async context manager."""

    def __init__(self, hook: OnDeadLetter, pipeline: Pipeline) -> None:
        """Prepare; `receive` takes what a queue tells."""
        self._hook: Final = hook
        self._pipeline: Final = pipeline
        self._notices: Final[asyncio.Queue[DeadNotice]] = asyncio.Queue()

    def receive(self, notice: DeadNotice) -> None:
        """Have the hook called with it, once those before have been."""
        self._notices.put_nowait(notice)

    async def __aenter__(self) -> Self:
        self._calling = asyncio.create_task(self._call(), name="weir-dead-notices")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        joined = asyncio.create_task(self._notices.join())
        await asyncio.wait({joined}, timeout=LAST_SECONDS)
        for task in (joined, self._calling):
            task.cancel()
        await asyncio.wait({joined, self._calling})
        if left := self._notices.qsize():
            log.warning("the hook of dead letters was not called for some", count=left)

    async def _call(self) -> None:
        while True:
            notice = await self._notices.get()
            try:
                await self._hook(notice, self._pipeline)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.traceback(error, "the hook of dead letters failed", queue=notice.queue, id=notice.id)
            except BaseException as error:  # noqa: BLE001  # as a handler it may raise anything
                log.traceback(error, "the hook of dead letters failed", queue=notice.queue, id=notice.id)
            finally:
                self._notices.task_done()
