"""What became of a message, as any process can know it: unknown, accepted, done, dead or cancelled, and no finer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel

from examples.web.pictures import Shrink, Size
from shared.concurrency import Progress, Queue, RemoteError, ResultFuture, UnknownId

_CANCELLED = "cancelled"


class State(BaseModel):
    """What a caller gets to know. Between accepted and the end nothing is exact: a message may be handled twice."""

    state: Literal["unknown", "accepted", "done", "dead", "cancelled"]
    fraction: float | None = None
    """The last progress of the handler, while accepted; None before the first."""
    text: str | None = None
    result: Size | None = None
    reason: str | None = None
    """Why it is dead."""

    @property
    def has_ended(self) -> bool:
        """Whether it stays as it is."""
        return self.state in ("done", "dead", "cancelled")


async def state_of(queue: Queue[Shrink], id_: str) -> State:
    """Look once. The future is done already where the outcome is there, and has the last progress where it is not."""
    try:
        future = await queue.result(id_)
    except (UnknownId, ValueError):  # ValueError: it is no id
        return State(state="unknown")
    try:
        return _state(future)
    finally:
        future.cancel()  # stops listening; the message goes on


async def states_of(queue: Queue[Shrink], id_: str) -> AsyncIterator[State]:
    """The state now and each later one, until it has ended."""
    changed = asyncio.Event()
    try:
        future = await queue.result(id_, on_progress=lambda *_: changed.set())
    except (UnknownId, ValueError):
        yield State(state="unknown")
        return
    future.add_done_callback(lambda _: changed.set())
    try:
        while not (state := _state(future)).has_ended:
            yield state
            await changed.wait()
            changed.clear()
        yield state
    finally:
        future.cancel()


def _state(future: ResultFuture[Size]) -> State:
    if not future.done():
        progress: Progress | None = future.progress
        return (
            State(state="accepted")
            if progress is None
            else State(state="accepted", fraction=progress.fraction, text=progress.text)
        )
    error = future.exception()
    if error is None:
        return State(state="done", result=future.result())
    if isinstance(error, RemoteError):
        is_cancelled = error.reason == _CANCELLED
        return State(state="cancelled") if is_cancelled else State(state="dead", reason=str(error))
    raise error
