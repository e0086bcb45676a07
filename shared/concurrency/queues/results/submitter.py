"""Submitter: puts a message whose result is asked for, and makes the future of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from shared.concurrency.errors import IdConflict, UnknownId
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry
from shared.concurrency.queues.puts.lane import PutLane
from shared.concurrency.queues.results.cancellation import Cancellation
from shared.concurrency.queues.results.future import ResultFuture, Submission
from shared.concurrency.queues.results.lane import ResultLane
from shared.concurrency.session.clock import boottime

R_co = TypeVar("R_co", covariant=True)


class HasResult(Protocol[R_co]):
    """A message whose class declares the type of its result."""

    @classmethod
    def result_type(cls) -> type[R_co]:
        """What handling it returns."""


class Submitter:
    """The submitting half of a queue."""

    def __init__(
        self,
        puts: PutLane,
        results: ResultLane,
        codec: ResultCodec,
        kept_for: float,
        cancel: Callable[[str, float], Awaitable[Cancellation]],
    ) -> None:
        """Prepare. `kept_for`: seconds for which the server keeps a result that was not received.

        `cancel` cancels a message, by its key.
        """
        self._cancel: Final = cancel
        self._loop: Final = asyncio.get_running_loop()
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
        """Put an entry made for it; returns when it is in the queue. Cancelled, it cancels the message."""
        while True:
            entry = make()
            submission = Submission(
                entry.key,
                self._codec.reader(type(item)),
                id_=id_,
                kept_for=self._kept_for,
                on_progress=on_progress,
                cancel=self._cancel,
                loop=self._loop,
            )
            # Before it is put: the outcome may come before the answer to the put is looked at.
            self._results.expect(submission)
            batch = submission.batch = self._puts.submit([entry], may_wait=True)
            try:
                await batch.done
                put = self._puts.answered, boottime()
                submission.admitted = batch.is_new is not False
                if submission.admitted:
                    submission.put = put
                if id_ is None or batch.is_new or await self._meet(submission, id_, put):
                    return submission.future
            except asyncio.CancelledError:
                await self._withdraw(submission, batch)
                raise
            except BaseException:
                submission.admitted = False
                if not submission.future.cancel() and not submission.future.cancelled():
                    submission.future.exception()  # looked at: the caller gets the error of the put
                raise
            # The message that had the id was cancelled, or the id expired, before we could ask for it: it is new now.
            submission.future.cancel()

    async def listen(
        self, id_: str, kind: type, on_progress: Callable[[float, str], object] | None
    ) -> ResultFuture[Any]:
        """The future of a message of this class that anyone submitted under an id; done when the outcome is there."""
        since = boottime()
        key = await self._results.existing_key_of(id_)
        if not key:
            raise UnknownId(
                f"no message was submitted under the id {id_!r}, or it is forgotten"
                if key is None
                else f"the message with the id {id_!r} was put without asking for its result: use submit"
            )
        submission = Submission(
            key,
            self._codec.reader(kind),
            id_=id_,
            kept_for=self._kept_for,
            on_progress=on_progress,
            cancel=self._cancel,
            loop=self._loop,
        )
        try:
            await self._results.listen(submission, since)
        except asyncio.CancelledError:
            submission.future.cancel()
            raise
        return submission.future

    async def _withdraw(self, submission: Submission, batch: Batch) -> None:
        """Its caller was cancelled: what is in the queue all the same, or may be, is cancelled there."""
        try:
            await self._puts.withdraw_cancelled(batch)
        finally:
            submission.admitted = batch.is_new is not False and (batch.admitted > 0 or batch.undecided > 0)
            submission.future.cancel()

    async def _meet(self, submission: Submission, id_: str, put: tuple[int, float]) -> bool:
        """Attach the future to whichever message holds this id (ours, unless the id was already known).

        `put`: which call was answered, and when. Until the message is known to be ours it says nothing of it: a server
        that comes back without that call may well have the message.
        """
        since = boottime()
        key = await self._results.key_of(id_)
        if key == b"":
            raise IdConflict("the message with this id was put without asking for its result: use a new id")
        if key == submission.key:
            submission.put = put
        elif key is not None and not submission.answered:
            self._results.attach(submission, key, since)
        return key is not None or submission.admitted
