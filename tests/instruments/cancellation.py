"""Cancels a coroutine at a chosen one of the points where it waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from tests.instruments import figures

T = TypeVar("T")

Mode = Literal["early", "late", "twice", "always"]
"""early: while it still waits. late: when what it waited for is there, but it has not run yet: what it was given must
not get lost. twice: early, and again at the next point where its clean-up waits. always: again wherever that waits."""

MODES: tuple[Mode, ...] = ("early", "late", "twice")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How a coroutine ended that was cancelled at one point."""

    hit: bool
    """Whether it waited that often at all; if not, it simply ran to its end."""
    cancelled: bool
    """Whether it raised CancelledError."""
    value: T | None
    error: Exception | None


class _Counted(Generic[T]):
    """Runs a coroutine and tells each time it waits."""

    def __init__(self, inner: Coroutine[Any, Any, T], on_wait: Callable[[int, Any], None]) -> None:
        self._inner = inner
        self._on_wait = on_wait
        self._count = 0

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = partial(self._inner.send, None)
        while True:
            try:
                waited_for = step()
            except StopIteration as end:
                value: T = end.value
                return value
            self._count += 1
            self._on_wait(self._count, waited_for)
            try:
                sent = yield waited_for
            except BaseException as error:  # noqa: BLE001  # whatever is thrown in is the coroutine's
                step = partial(self._inner.throw, error)
            else:
                step = partial(self._inner.send, sent)


async def cancelled_at(point: int, mode: Mode, coroutine: Coroutine[Any, Any, T], seconds: float = 15.0) -> Outcome[T]:
    """Run a coroutine in a task of its own and cancel it, and only it, the POINT-th time that it waits (from 1).

    AssertionError when it has not ended after so many seconds.
    """
    hit = False

    def on_wait(count: int, waited_for: Any) -> None:
        nonlocal hit
        again = {"twice": count == point + 1, "always": count > point}
        if count != point and not again.get(mode, False):
            return
        hit = True
        if mode == "late" and waited_for is not None:
            # Added before the task adds its own, so it comes first: the task is about to run when it is cancelled.
            waited_for.add_done_callback(lambda _: cancel())
        else:
            asyncio.get_running_loop().call_soon(cancel)

    def cancel() -> None:
        task.cancel()

    async def counted() -> T:
        return await _Counted(coroutine, on_wait)

    task = asyncio.create_task(counted(), name="cancelled-at")
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        hang = f"it hangs after {mode} cancellation at point {point} (hit: {hit})"
        task.print_stack()
        task.cancel()
        await asyncio.wait({task}, timeout=1)
        raise AssertionError(hang)
    if task.cancelled():
        return Outcome(hit, cancelled=True, value=None, error=None)
    error = task.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return Outcome(hit, cancelled=False, value=None if error else task.result(), error=error)


async def interrupted_at(
    point: int,
    interruption: Callable[[], Coroutine[Any, Any, object]],
    coroutine: Coroutine[Any, Any, T],
    seconds: float,
) -> Outcome[T]:
    """Run a coroutine in a task of its own, and something else beside it from the POINT-th time on that it waits.

    AssertionError when the coroutine has not ended so many seconds after that. What ran beside it has ended, too.
    """
    beside: list[asyncio.Task[object]] = []

    def on_wait(count: int, _: Any) -> None:
        if count == point:
            beside.append(asyncio.create_task(interruption(), name="interruption"))

    async def counted() -> T:
        return await _Counted(coroutine, on_wait)

    task = asyncio.create_task(counted(), name="interrupted-at")
    await asyncio.wait({task}, timeout=20)
    if beside:
        await asyncio.wait(beside)
        await asyncio.wait({task}, timeout=seconds)
    hangs = not task.done()
    if hangs:
        task.print_stack()
        task.cancel()
        await asyncio.wait({task})
    for each in beside:
        each.result()
    assert not hangs, f"it hangs after the interruption at point {point}"
    if task.cancelled():
        return Outcome(bool(beside), cancelled=True, value=None, error=None)
    error = task.exception()
    assert error is None or isinstance(error, Exception)
    return Outcome(bool(beside), cancelled=False, value=None if error else task.result(), error=error)


async def at_every_point(
    attempt: Callable[[int, Mode], Awaitable[Outcome[Any]]], modes: tuple[Mode, ...] = MODES, most: int = 200
) -> AsyncIterator[tuple[int, Mode, Outcome[Any]]]:
    """Attempt with point 1, 2, 3... in each mode until the coroutine ends before it; yields all that were hit."""
    for mode in modes:
        for point in range(1, most + 1):
            outcome = await attempt(point, mode)
            if not outcome.hit:
                break
            figures.count("calls that ended cancelled" if outcome.cancelled else "calls that ended by themselves")
            figures.count("cancellations")
            yield point, mode, outcome
        else:
            raise AssertionError(f"still waiting after {most} points")
