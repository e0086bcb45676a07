"""BatchWork: has a batch handled, and settles each delivery of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from consumer.rules.handler import results_of
from consumer.rules.rules import Rules
from consumer.worker.endings import Endings
from consumer.worker.slot import Slot
from shared.concurrency import Batch
from shared.concurrency.queues.deliveries.gathering import Company
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.session.tasks import is_closed

T = TypeVar("T")


class BatchWork(Generic[T]):
    """What a worker coroutine does with a batch."""

    def __init__(self, handle: Callable[[Batch[T]], Awaitable[object]], endings: Endings[T]) -> None:
        """`handle`: calls the handler; `endings`: where it does not return."""
        self._handle: Final = handle
        self._endings: Final = endings

    async def work(self, settler: Settler, slot: Slot[T], batch: HeldBatch[T]) -> int:
        """Handle and settle; returns how many were handled to a clean end."""
        slot.work = batch
        task = asyncio.current_task()
        try:
            results = results_of(await self._handle(batch), len(batch))
        except asyncio.CancelledError as error:
            await self._endings.cancelled(settler, slot, batch, error)
        except BaseException as error:  # a handler may raise anything; the worker goes on
            if is_closed(task, error):
                raise
            self._endings.uncancel(batch)
            self._endings.failed(settler, batch, error)
        else:
            self._endings.uncancel(batch)
            return self._acknowledge(settler, batch, results)
        finally:
            slot.work = None
            batch.end()
        return 0

    def _acknowledge(self, settler: Settler, batch: HeldBatch[T], results: Sequence[object] | None) -> int:
        """Without waiting, so that one call carries all."""
        endings, acknowledged = self._endings, 0
        endings.failed_alone(settler, batch)
        endings.stopped(batch)
        for at, handout in enumerate(batch.handouts):
            if handout.state != "held":
                continue
            if handout.collected or handout.answers is not None:
                result = None if results is None else results[at]
                settler.acknowledge_with_more(handout, result, endings.failed)
            else:
                settler.acknowledge(handout)
            acknowledged += 1
        return acknowledged


def companies_of(rules: Mapping[type[Any], Rules]) -> dict[type[Any], Company]:
    """The classes that are handled in batches."""
    return {
        kind: Company(each.batch.most, each.batch.within, each.attempts)
        for kind, each in rules.items()
        if each.batch is not None
    }
