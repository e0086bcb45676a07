"""The registry of handlers: which function handles which message class."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeVar, overload

from consumer.batches import Batch, Gather
from consumer.rules.backoff import USUAL_BACKOFF, Backoff
from consumer.rules.errors import HandlerError
from consumer.rules.handler import Handler, asks_for_pipeline, place_of
from consumer.rules.queues import check_queue
from consumer.rules.rules import Rules
from shared.concurrency import Delivery
from shared.message import Message
from shared.pipeline import Pipeline

M = TypeVar("M", bound=Message)
R = TypeVar("R")

# What the function returns is kept: a test of it awaits it.
Here = Callable[[Delivery[M], Pipeline], R]
Elsewhere = Callable[[Delivery[M]], R]
ManyHere = Callable[[Batch[M], Pipeline], R]
ManyElsewhere = Callable[[Batch[M]], R]


class Registers(Protocol[M]):
    """Registers a function that takes a delivery and, if it asks for it, the pipeline."""

    @overload
    def __call__(self, function: Here[M, R], /) -> Here[M, R]: ...
    @overload
    def __call__(self, function: Elsewhere[M, R], /) -> Elsewhere[M, R]: ...


class RegistersMany(Protocol[M]):
    """The same with a batch."""

    @overload
    def __call__(self, function: ManyHere[M, R], /) -> ManyHere[M, R]: ...
    @overload
    def __call__(self, function: ManyElsewhere[M, R], /) -> ManyElsewhere[M, R]: ...


_handlers: Final[dict[type[Message], Handler]] = {}


@overload
def handles(
    message_class: type[M],
    *,
    queue: str | None = None,
    attempts: int | None = None,
    backoff: Backoff = USUAL_BACKOFF,
    time_limit: float | None = None,
    executor: None = None,
    batch: None = None,
) -> Registers[M]: ...
@overload
def handles(
    message_class: type[M],
    *,
    queue: str | None = None,
    attempts: int | None = None,
    backoff: Backoff = USUAL_BACKOFF,
    time_limit: float | None = None,
    executor: Literal["process"],
    batch: None = None,
) -> Callable[[Elsewhere[M, R]], Elsewhere[M, R]]: ...
@overload
def handles(
    message_class: type[M],
    *,
    queue: str | None = None,
    attempts: int | None = None,
    backoff: Backoff = USUAL_BACKOFF,
    time_limit: float | None = None,
    executor: None = None,
    batch: Gather,
) -> RegistersMany[M]: ...
@overload
def handles(
    message_class: type[M],
    *,
    queue: str | None = None,
    attempts: int | None = None,
    backoff: Backoff = USUAL_BACKOFF,
    time_limit: float | None = None,
    executor: Literal["process"],
    batch: Gather,
) -> Callable[[ManyElsewhere[M, R]], ManyElsewhere[M, R]]: ...
def handles(
    message_class: type[M],
    *,
    queue: str | None = None,
    attempts: int | None = None,
    backoff: Backoff = USUAL_BACKOFF,
    time_limit: float | None = None,
    executor: Literal["process"] | None = None,
    batch: Gather | None = None,
) -> Any:
    """Make a function the handler of a message class.

    `async def f(delivery, pipeline)` runs on the event loop, `def f(delivery, pipeline)` in a thread, and with
    `executor="process"` `def f(delivery)` in a process that can be killed. Who does not need the pipeline leaves it
    out. It is called once for each delivery.
    Returning acknowledges, and what it returns is the result, for whoever submitted the message. After an exception the
    message comes again later. See consumer.outcomes for Retry and Reject.

    With `batch=Gather(most=100, within=0.5)` it is called with a Batch in place of the delivery: up to `most` messages
    of the class, or what has come `within` seconds after the first. It returns a list of as many results, or None.

    `queue`: the queue, or GROUP/NAME, that its messages are put into and a consumer takes them from; by default that of
    PIPELINE_QUEUE. `attempts`: failures until a message is a dead letter, by default the queue's number; `backoff`: how
    long the message waits between attempts; `time_limit`: seconds that one attempt may take, by default
    PIPELINE_HANDLER_TIMEOUT.

    :raises HandlerError: when the function or an argument cannot work, or the class has a handler already.
    """
    try:
        rules = Rules(attempts, backoff, time_limit, batch)
        check_queue(queue)
    except HandlerError as error:
        raise HandlerError(f"@handles({message_class.__name__}): {error}") from None

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        place = place_of(function, executor, message_class, takes_batch=batch is not None)
        handler = Handler(function, place, rules, place != "process" and asks_for_pipeline(function), queue)
        if message_class in _handlers:
            raise HandlerError(
                f"{message_class.__name__} has two handlers, {_handlers[message_class].name} and {handler.name}"
            )
        _handlers[message_class] = handler
        return function

    return register


def handlers() -> Mapping[type[Message], Handler]:
    """Return all handlers, by their message class."""
    return MappingProxyType(_handlers)


def check_handlers() -> None:
    """Check that every message class has a handler.

    :raises HandlerError: when some have none; the message names them.
    """
    if missing := without_handler():
        raise HandlerError(
            f"no handler for {', '.join(missing)}: write `@handles({missing[0]})` and `async def` in consumer/handlers.py"
        )


def without_handler() -> list[str]:
    """The names of the message classes that have no handler."""
    return sorted(name for name, tp in Message.registered().items() if tp not in _handlers)
