"""Handler: the function of one message class, where it runs, and its rules."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from consumer.rules.errors import HandlerError
from consumer.rules.rules import Rules
from shared.concurrency import Batch, Delivery
from shared.message import Message
from shared.pipeline import Pipeline

Place = Literal["loop", "thread", "process"]


@dataclass(frozen=True, slots=True)
class Handler:
    """What `@handles` registered for one message class."""

    function: Callable[..., Any]
    place: Place
    rules: Rules
    takes_pipeline: bool = True
    """Whether it is called with the pipeline too. A handler in a process never is."""
    queue: str | None = None
    """The queue that its messages are taken from; None for that of PIPELINE_QUEUE."""

    @property
    def name(self) -> str:
        """Where the function is found, as `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


def place_of(
    function: Callable[..., Any],
    executor: str | None,
    message_class: type[Message] | None = None,
    *,
    takes_batch: bool = False,
) -> Place:
    """Return where a function runs as the handler of a class; `takes_batch`: it is called with a batch of deliveries.

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
    _check_hints(function, name, message_class, takes_batch=takes_batch)
    if executor is None:
        if not asks_for_pipeline(function):
            _check_takes(function, name, first, others=f"{first}, pipeline")
        return "loop" if is_coroutine else "thread"
    if is_coroutine:
        raise HandlerError(f'{name}: executor="process" needs a plain function: write `def {name}({first})`')
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise HandlerError(f'{name}: executor="process" needs a function at the top level of an importable module')
    _check_takes(function, name, first)
    return "process"


def asks_for_pipeline(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with a delivery and the pipeline; else it gets the delivery alone."""
    return _can_take(function, 2)


def _can_take(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _check_takes(function: Callable[..., Any], name: str, words: str, *, others: str = "") -> None:
    if not _can_take(function, words.count(",") + 1):
        either = f"({words}) or ({others})" if others else f"({words})"
        raise HandlerError(f"{name} is called with {either}: write `def {name}({others or words})`")


def _check_hints(
    function: Callable[..., Any], name: str, message_class: type[Message] | None, *, takes_batch: bool
) -> None:
    """Where the parameters say what they are, compare them with what the handler is called with."""
    first, second, *_ = [*inspect.signature(function).parameters, None, None]
    try:
        hints = get_type_hints(function)
    except Exception:  # noqa: BLE001  # names that only a type checker knows: it has compared them
        return
    hint, pipeline = hints.get(first or "", Any), hints.get(second or "", Any)
    if pipeline is not Any and isinstance(pipeline, type) and not issubclass(Pipeline, pipeline):
        raise HandlerError(f"{name} gets the pipeline second: write `{second}: Pipeline`, or leave it out")
    kind = get_origin(hint) or hint
    if hint is Any or not isinstance(kind, type):
        return
    wanted = f"{'Batch' if takes_batch else 'Delivery'}[{message_class.__name__ if message_class else '...'}]"
    if takes_batch and not issubclass(Batch, kind):
        raise HandlerError(f"{name} is called with a batch: write `{first}: {wanted}`, or leave batch= out")
    if not takes_batch and issubclass(kind, Batch):
        raise HandlerError(f"{name} takes a Batch: write `@handles(..., batch=Gather(most=..., within=...))`")
    if not takes_batch and not issubclass(Delivery, kind):
        raise HandlerError(
            f"{name} is called with a delivery: write `{first}: {wanted}`; `{first}.item` is the message"
        )
    of = next(iter(get_args(hint)), Any)
    if message_class and isinstance(of, type) and issubclass(of, Message) and not issubclass(message_class, of):
        raise HandlerError(f"{name} handles {message_class.__name__}: write `{first}: {wanted}`, not of {of.__name__}")


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
