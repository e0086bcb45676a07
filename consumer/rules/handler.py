"""Handler: the function of one message class, where it runs, and its rules."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_origin, get_type_hints

from consumer.rules.errors import HandlerError
from consumer.rules.rules import Rules
from shared.concurrency import Batch

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


def place_of(function: Callable[..., Any], executor: str | None, *, takes_batch: bool = False) -> Place:
    """Return where a function runs as a handler; `takes_batch`: it is called with a batch, not with one delivery.

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
    first = "batch" if takes_batch else "delivery"
    _check_first(function, name, takes_batch=takes_batch)
    if executor is None:
        _check_takes(function, name, f"{first}, pipeline")
        return "loop" if is_coroutine else "thread"
    if is_coroutine:
        raise HandlerError(f'{name}: executor="process" needs a plain function: write `def {name}({first})`')
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise HandlerError(f'{name}: executor="process" needs a function at the top level of an importable module')
    _check_takes(function, name, first)
    return "process"


def _check_takes(function: Callable[..., Any], name: str, words: str) -> None:
    try:
        inspect.signature(function).bind(*words.split(", "))
    except TypeError:
        raise HandlerError(f"{name} is called with ({words}): write `def {name}({words})`") from None


def _check_first(function: Callable[..., Any], name: str, *, takes_batch: bool) -> None:
    """Where the first parameter says what it is, compare it with what the handler is called with."""
    first = next(iter(inspect.signature(function).parameters), None)
    try:
        hints = get_type_hints(function)
    except Exception:  # noqa: BLE001  # names that only a type checker knows: it has compared them
        return
    hint = hints.get(first or "", Any)
    kind = get_origin(hint) or hint
    if hint is Any or not isinstance(kind, type):
        return
    if takes_batch and not issubclass(Batch, kind):
        raise HandlerError(f"{name} is called with a batch: write `{first}: Batch[...]`, or leave batch= out")
    if not takes_batch and issubclass(kind, Batch):
        raise HandlerError(f"{name} takes a Batch: write `@handles(..., batch=Gather(most=..., within=...))`")


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


def results_of(returned: object, count: int) -> Sequence[object] | None:
    """What the handler of a batch returned, one result for each delivery; None where it returned none.

    :raises TypeError: when it is neither None nor a list of as many.
    """
    if returned is None:
        return None
    if not isinstance(returned, list):
        raise TypeError(f"the handler of a batch returns a list of {count} results, or None: not {returned!r:.100}")
    if len(returned) != count:
        raise TypeError(f"the handler of a batch of {count} returned {len(returned)} results: return one for each")
    return returned
