"""Submitter: puts a message whose result is asked for, and makes the future of it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from shared.concurrency.errors import IdConflict
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.puts.batch import OutgoingEntry
from shared.concurrency.queues.puts.lane import PutLane
from shared.concurrency.queues.results.future import ResultFuture
from shared.concurrency.queues.results.lane import ResultLane

R_co = TypeVar("R_co", covariant=True)


class HasResult(Protocol[R_co]):
    """A message whose class says of what type its result is."""

    @classmethod
    def result_type(cls) -> type[R_co]:
        """What handling it returns."""


class Submitter:
    """The submitting half of a queue."""

    def __init__(self, puts: PutLane, results: ResultLane, codec: ResultCodec, kept_for: float) -> None:
        """Prepare. `kept_for`: seconds for which the server keeps a result that was not heard."""
        self._results: Final = results
        self._puts: Final = puts
        self._codec = codec
        self._kept_for = kept_for

    async def submit(
        self,
        make: Callable[[], OutgoingEntry],
        item: object,
        id_: str | None,
        on_progress: Callable[[float, str], object] | None,
    ) -> ResultFuture[Any]:
        """Put an entry made for it; returns when it is in the queue. Cancelled, it gives the message up."""
        while True:
            entry = make()
            future: ResultFuture[Any] = ResultFuture(
                entry.key, self._codec.reader(item), id=id_, kept_for=self._kept_for, on_progress=on_progress
            )
            if await self._put(entry, future, id_):
                return future
            # The message that had the id was given up, or the id expired, before we could ask for it: it is new now.
            future.cancel()

    async def _put(self, entry: OutgoingEntry, future: ResultFuture[Any], id_: str | None) -> bool:
        """Put it, and wait for its outcome from here on; False where it did not go in and nobody knows its id any more."""
        # Before it is put: the outcome may come before the answer to the put is looked at.
        self._results.expect(future)
        batch = self._puts.submit([entry], may_wait=True)
        try:
            await batch.done
            future.admitted = batch.is_new is not False
            return id_ is None or bool(batch.is_new) or await self._meet(future, id_)
        except asyncio.CancelledError:
            try:
                await self._puts.withdraw_cancelled(batch)
            finally:
                # What is in the queue all the same, or may be, is given up.
                future.admitted = batch.is_new is not False and (batch.admitted > 0 or batch.undecided > 0)
                future.cancel()
            raise
        except BaseException:
            future.admitted = False
            future.cancel()
            raise

    async def _meet(self, future: ResultFuture[Any], id_: str) -> bool:
        """Wait for what the message comes to that has the id; ours, unless it was known already."""
        key = await self._results.key_of(id_)
        if key == b"":
            raise IdConflict("the message with this id was put without asking for its result: use a new id")
        if key is not None and key != future.key and not future.answered:
            self._results.attach(future, key)
        return key is not None or future.admitted
