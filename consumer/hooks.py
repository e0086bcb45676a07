"""Hooks: what consumer/around.py imports, to stand around every delivery and to hear of every dead letter."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from consumer.rules.errors import HandlerError
from shared.concurrency import Delivery
from shared.concurrency.queues.service import DeadNotice
from shared.pipeline import Pipeline

__all__ = ["DeadNotice", "Handling", "around_deliveries", "on_dead_letter"]


@dataclass(slots=True)
class Handling:
    """One call of a handler, as the wrapper around it sees it."""

    handler: str
    """Which function, as `module:name`."""
    deliveries: Sequence[Delivery[Any]]
    """What it is called with: one delivery, or all of a batch."""
    result: object = field(default=None, init=False)
    """What the handler returned, once it has: None before. Of one in a process only what a submitter waits for."""

    @property
    def delivery(self) -> Delivery[Any]:
        """The delivery; of a batch the first."""
        return self.deliveries[0]


Around = Callable[[Handling, Pipeline], AbstractAsyncContextManager[object]]
OnDeadLetter = Callable[[DeadNotice, Pipeline], Awaitable[object]]


class Hooks:
    """What is registered: one of each at most, and where there is none it costs nothing."""

    def __init__(self) -> None:
        """Begin with none."""
        self.around: Around | None = None
        self.on_dead_letter: OnDeadLetter | None = None


HOOKS: Final = Hooks()
"""Those of this process."""


def around_deliveries(function: Around) -> Around:
    """Make an async context manager the one that stands around every call of a handler.

    `@around_deliveries` above `@asynccontextmanager` above `async def f(handling: Handling, pipeline: Pipeline)`. It is
    entered on the event loop, before the handler is called wherever that runs, and left before the message is settled:
    it sees what the handler returned (`handling.result`), what it raised, and its cancellation. What it raises takes
    the place of what the handler did; an exception that it swallows makes the message acknowledged. The context
    variables that it sets are seen by handlers on the loop and in threads. The time limit counts it.

    :raises HandlerError: when it is none, or there is one already.
    """
    name = getattr(function, "__qualname__", repr(function))
    if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
        raise HandlerError(f"@around_deliveries: write @asynccontextmanager between it and {name}, which yields once")
    _check(function, name, "@around_deliveries", "handling, pipeline")
    if HOOKS.around is not None:
        raise HandlerError(f"@around_deliveries: there is one already, beside {name}: enter both in one of them")
    HOOKS.around = function
    return function


def on_dead_letter(function: OnDeadLetter) -> OnDeadLetter:
    """Make `async def f(notice: DeadNotice, pipeline: Pipeline)` the one that hears of messages that became dead.

    It is called by the consumer whose call made the message a dead letter, after it is one; for one that crashed that
    is the consumer that recovered it. One call at a time, in order. What it raises is logged. It is told at most once:
    a consumer that is killed at that moment tells nobody, and the dead letter is there all the same.

    :raises HandlerError: when it is no such function, or there is one already.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise HandlerError(f"@on_dead_letter: {name} is called on the event loop: write `async def`")
    _check(function, name, "@on_dead_letter", "notice, pipeline")
    if HOOKS.on_dead_letter is not None:
        raise HandlerError(f"@on_dead_letter: there is one already, beside {name}: call both from one of them")
    HOOKS.on_dead_letter = function
    return function


def _check(function: Callable[..., object], name: str, what: str, words: str) -> None:
    if not callable(function):
        raise HandlerError(f"{what}: {name} is not a function")
    try:
        inspect.signature(function).bind(*words.split(", "))
    except TypeError:
        raise HandlerError(f"{what}: {name} is called with ({words}): write `async def {name}({words})`") from None
