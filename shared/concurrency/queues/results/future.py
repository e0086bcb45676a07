"""ResultFuture: what a submitter holds until its message has been handled."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from shared.concurrency.errors import InvalidResult, RemoteError

R = TypeVar("R")

_RESULT: Final = b"="


class Progress(NamedTuple):
    """How far a handler is."""

    fraction: float
    """What is done, from 0.0 to 1.0."""
    text: str


class ResultFuture(asyncio.Future[R]):
    """The result of a message, as an asyncio.Future: await it, give it a callback, gather it.

    It fails with RemoteError when the message was given up, with InvalidResult when the result is not of the declared type,
    with ResultLost when it may have expired while this process was cut off, and with ConcurrencyError when the session is
    closed. Cancelling it gives the message up, if nobody has taken it yet; nobody waits for that.
    """

    progress: Progress | None
    """The last that was heard of it; None before, and where the handler tells nothing."""
    id: str
    """The `id=` given to `submit`, or a generated one."""

    def __init__(
        self,
        key: bytes,
        read: Callable[[bytes], R],
        *,
        id: str | None,  # noqa: A002  # as everywhere
        kept_for: float,
        on_progress: Callable[[float, str], object] | None,
    ) -> None:
        """Made by `Queue.submit`."""
        super().__init__(loop=asyncio.get_running_loop())
        self.key = key
        self.id = key.decode() if id is None else id
        self.has_id = id is not None
        self.kept_for = kept_for
        self.progress = None
        self.admitted = False
        """Whether the message has gone in."""
        self.answered = False
        """Whether the outcome has come, wanted or not."""
        self._read = read
        self._on_progress = on_progress

    def hear(self, outcome: bytes) -> None:
        """Take the outcome."""
        self.answered = True
        if self.done():
            return
        try:
            if outcome[:1] == _RESULT:
                self.set_result(self._read(outcome[1:]))
            else:
                self.set_exception(_remote_error(outcome[1:]))
        except InvalidResult as error:
            self.set_exception(error)

    def hear_progress(self, said: bytes) -> None:
        """Take note of how far the handler is."""
        if self.done():
            return
        fraction, _, text = said.decode(errors="replace").partition(" ")
        try:
            self.progress = Progress(float(fraction), text)
        except ValueError:
            return  # a hint, and none of ours
        if self._on_progress is not None:
            # What it raises goes where asyncio has the errors of callbacks go.
            self.get_loop().call_soon(self._on_progress, *self.progress)


def _remote_error(about: bytes) -> RemoteError:
    try:
        told: dict[str, Any] = json.loads(about.decode(errors="replace"))
        return RemoteError(str(told["reason"]), str(told["error"]), str(told["traceback"]))
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidResult("what came is no outcome: something else than a queue wrote it") from error
