"""ResultFuture: what a submitter holds until its message has been handled."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from shared.concurrency.checks import check_seconds
from shared.concurrency.errors import InvalidResult, RemoteError, ResultLost
from shared.concurrency.queues.puts.batch import Batch
from shared.concurrency.queues.results.cancellation import CANCELLED, LONGEST_WAIT, Cancellation
from shared.concurrency.session.clock import boottime

R = TypeVar("R")

_RESULT: Final = b"="


class Progress(NamedTuple):
    """How far a handler is."""

    fraction: float
    """What is done, from 0.0 to 1.0."""
    text: str


class ResultFuture(asyncio.Future[R]):
    """The result of a message, as an asyncio.Future: await it, give it a callback, gather it.

    It fails with RemoteError when the message failed for good or was cancelled, with InvalidResult when the result is
    not of the declared type, with ResultLost when it may have expired while this process was cut off, and with
    ConcurrencyError when the session is closed. Cancelling it cancels the message, if nobody has taken it yet; nobody
    waits for that.
    """

    id: str
    """The `id=` given to `submit`, or a generated one."""
    progress: Progress | None
    """The newest report of the handler; None before, and where the handler reports nothing.

    Where another process submitted the message it is looked for once a second, and under an `id=` only.
    """
    _key: bytes
    """That of the message. By it and not by the id, which may be forgotten, the message is cancelled."""
    _cancels: Callable[[str, float], Awaitable[Cancellation]]
    _on_cancel: "Callable[[ResultFuture[Any]], object] | None" = None
    """Called once it is cancelled. A done callback would cost each result a turn of the loop."""

    def __init__(self, id: str, loop: asyncio.AbstractEventLoop | None = None) -> None:  # noqa: A002  # as everywhere
        """Made by `Queue.submit`; `loop`: the running one, None to ask for it (before Python 3.12 a system call)."""
        super().__init__(loop=asyncio.get_running_loop() if loop is None else loop)
        self.id = id
        self.progress = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it, and its message if nobody has taken that yet."""
        if not super().cancel(msg):
            return False
        if self._on_cancel is not None:
            self._on_cancel(self)
        return True

    async def cancel_message(self, *, timeout: float = 5.0) -> Cancellation:  # noqa: ASYNC109  # for the outcome only
        """Cancel the message itself, in any state, as `Queue.cancel`; this future fails with RemoteError, `cancelled`.

        `cancel()` only withdraws what nobody has taken, and waits for nothing. A message under an `id=` that somebody
        else submitted is cancelled for all who wait for its result.

        :raises ValueError, ConcurrencyError: as `Queue.cancel`.
        """
        check_seconds("timeout", timeout, 0, LONGEST_WAIT)
        error = self.exception() if self.done() and not self.cancelled() else None
        if isinstance(error, RemoteError) and error.reason != CANCELLED:
            return Cancellation.UNKNOWN
        if self.done() and not self.cancelled() and (error is None or isinstance(error, RemoteError | InvalidResult)):
            return Cancellation.FINISHED
        return await self._cancels(self._key.decode(), timeout)


class Submission:
    """One submitted message of this process, and the future of its result."""

    __slots__ = (
        "_on_progress",
        "_read",
        "admitted",
        "answered",
        "batch",
        "future",
        "has_id",
        "kept_for",
        "key",
        "looked",
        "put",
        "since",
        "unheard",
    )

    def __init__(
        self,
        key: bytes,
        read: Callable[[bytes], Any],
        *,
        id_: str | None,
        kept_for: float,
        on_progress: Callable[[float, str], object] | None,
        cancel: Callable[[str, float], Awaitable[Cancellation]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`key`: that of its entry; `kept_for`: seconds for which the server keeps a result that was not received.

        `cancel` cancels a message, by its key.
        """
        self.future: Final[ResultFuture[Any]] = ResultFuture(key.decode() if id_ is None else id_, loop)
        # Nothing of it leads back here: they would keep each other alive until the garbage collector comes.
        self.future._cancels = cancel  # noqa: SLF001  # its own
        self.wait_for(key)
        self.has_id: Final = id_ is not None
        self.kept_for: Final = kept_for
        self.admitted = False
        """Whether the message has gone in, and is ours to cancel."""
        self.put = (0, 0.0)
        """The call of puts by whose answer its message was in the queue, and when that was, by the local clock.

        0 before, and where another process put it.
        """
        self.looked: asyncio.Future[None] | None = None
        """Of a listener: done once the server was asked for the outcome, or the future is done."""
        self.answered = False
        """Whether the outcome has come, wanted or not."""
        self.batch: Batch | None = None
        """What it was put by; None of a listener."""
        self.unheard = (0.0, 0.0)
        """From when to when its outcome may have come and gone: the longest time, while its put is in doubt."""
        self.since = boottime()
        """From when on its outcome may have come: when it was made.

        Where another put the message: when the server was asked for it last.
        """
        self._read = read
        self._on_progress = on_progress

    def wait_for(self, key: bytes) -> None:
        """Wait for the outcome of the message with this key."""
        self.key = self.future._key = key  # noqa: SLF001  # its own

    def look_back(self, began: float, ended: float) -> None:
        """Fail where its outcome may have come, and gone, unheard: from `began` to `ended` we were cut off.

        Both by the local boot-time clock. While nobody knows whether the message is in, it is kept in mind. Of what
        another put nobody notifies us: its outcome may have come and gone since the last look, connection or none.
        """
        if self.future.done():
            return
        if self.batch is None:  # it may have been in for long
            began = min(began, self.since)
        else:
            out_at = max(self.since, self.batch.out_at)
            (first, last), began = self.unheard, max(began, out_at)
            first = max(first, out_at)
            if last - first > ended - began:
                began, ended = first, last
            self.unheard = (began, ended)
            if not self.admitted:
                return
        if ended - began > self.kept_for:
            self.future.set_exception(
                ResultLost(
                    f"this process was cut off from the server for {ended - began:.0f} s, and a result is kept for "
                    f"{self.kept_for:g} s: it may have come and gone. Submit the message again, or ask for a longer "
                    "results_for"
                )
            )

    def receive(self, outcome: bytes) -> None:
        """Take the outcome."""
        self.answered = True
        if self.future.done():
            return
        try:
            if outcome[:1] == _RESULT:
                self.future.set_result(self._read(outcome[1:]))
            else:
                self.future.set_exception(_remote_error(outcome[1:]))
        except InvalidResult as error:
            self.future.set_exception(error)

    def receive_progress(self, report: bytes) -> None:
        """Take note of how far the handler is; the same report may come again."""
        future = self.future
        fraction, _, text = report.decode(errors="replace").partition(" ")
        try:
            progress = Progress(float(fraction), text)
        except ValueError:
            return  # a hint, and none of ours
        if future.done() or progress == future.progress:
            return
        future.progress = progress
        if self._on_progress is not None:
            # What it raises goes where asyncio has the errors of callbacks go.
            future.get_loop().call_soon(self._on_progress, *future.progress)


def _remote_error(about: bytes) -> RemoteError:
    try:
        failure: dict[str, Any] = json.loads(about.decode(errors="replace"))
        return RemoteError(str(failure["reason"]), str(failure["error"]), str(failure["traceback"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InvalidResult("what came is no outcome: something else than a queue wrote it") from error
