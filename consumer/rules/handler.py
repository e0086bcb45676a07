"""Handler: the function of one message class, where it runs, and its rules."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from consumer.rules.errors import HandlerError
from consumer.rules.rules import Rules

Place = Literal["loop", "thread", "process"]


@dataclass(frozen=True, slots=True)
class Handler:
    """What `@handles` registered for one message class."""

    function: Callable[..., Any]
    place: Place
    rules: Rules

    @property
    def name(self) -> str:
        """Where the function is found, as `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


def place_of(function: Callable[..., Any], executor: str | None) -> Place:
    """Return where a function runs as a handler.

    :raises HandlerError: when it cannot run as one; the message says what to write.
    """
    name = getattr(function, "__name__", repr(function))
    if executor not in (None, "process"):
        raise HandlerError(f'{name}: executor={executor!r}: write executor="process", or leave it out')
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{name} yields: a handler is a function that returns; write `async def` without yield")
    is_coroutine = inspect.iscoroutinefunction(function)
    if not (is_coroutine or inspect.isfunction(function) or inspect.ismethod(function)):
        raise HandlerError(f"{name} is not a function: write `async def` (on the loop) or `def` (in a thread)")
    if executor is None:
        _check_takes(function, name, "delivery, pipeline")
        return "loop" if is_coroutine else "thread"
    if is_coroutine:
        raise HandlerError(f'{name}: executor="process" needs a plain function: write `def {name}(delivery)`')
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise HandlerError(f'{name}: executor="process" needs a function at the top level of an importable module')
    _check_takes(function, name, "delivery")
    return "process"


def _check_takes(function: Callable[..., Any], name: str, words: str) -> None:
    try:
        inspect.signature(function).bind(*words.split(", "))
    except TypeError:
        raise HandlerError(f"{name} is called with ({words}): write `def {name}({words})`") from None


def call_plain(function: Callable[..., Any], *arguments: object) -> object:
    """Call a plain function; returns what it returns.

    :raises TypeError: when it returns an awaitable: nothing would await it, so the work would never run.
    """
    returned: object = function(*arguments)
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError(f"{function.__qualname__} returned an awaitable: begin it with `async def`")
    return returned
