"""The registry of handlers: which function handles which message class."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from shared.concurrency import Delivery
from shared.messages import Message
from shared.pipeline import Pipeline

M = TypeVar("M", bound=Message)

Handler = Callable[[Delivery[M], Pipeline], Awaitable[None]]

_handlers: Final[dict[type[Message], Handler[Any]]] = {}


class HandlerError(Exception):
    """The message classes and the handlers do not match; the message says what to write."""


def handles(message_class: type[M]) -> Callable[[Handler[M]], Handler[M]]:
    """Make a function the handler of a message class: `async def f(delivery, pipeline)`.

    It is called once for each delivery; returning acknowledges, an exception brings the message again later.

    :raises HandlerError: when it is no coroutine function, or the class has a handler already.
    """

    def register(handler: Handler[M]) -> Handler[M]:
        name = getattr(handler, "__name__", repr(handler))
        if not inspect.iscoroutinefunction(handler):
            raise HandlerError(f"{name} is no coroutine function: a handler begins with `async def`")
        if message_class in _handlers:
            raise HandlerError(
                f"{message_class.__name__} has two handlers, {_handlers[message_class].__name__} and {name}"
            )
        _handlers[message_class] = handler
        return handler

    return register


def handler_of(message: Message) -> Handler[Any]:
    """The function that handles a message."""
    return _handlers[type(message)]


def check_handlers() -> None:
    """Look whether every message class has its handler.

    :raises HandlerError: when one has none, naming it.
    """
    missing = sorted(name for name, tp in Message.registered().items() if tp not in _handlers)
    if missing:
        raise HandlerError(
            f"no handler for {', '.join(missing)}: write `@handles({missing[0]})` and `async def` in consumer/handlers.py"
        )
