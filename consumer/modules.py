"""The application's modules of a consumer: those with its handlers, and consumer/around.py."""

from importlib import import_module

import consumer.around  # noqa: F401  # registers its hooks; a wrong one raises
from consumer.registry import check_handlers, handlers, without_handler
from consumer.rules.errors import HandlerError
from shared.logs import Log

log = Log("consumer")

USUAL = "consumer.handlers"
"""Where the handlers are, unless PIPELINE_HANDLERS names other modules."""


def load_handlers(names: str) -> None:
    """Import these modules, whose names have commas between them; each registers its handlers.

    The usual one has a handler for every message class. Others may leave classes to other consumers: a line says which.

    :raises HandlerError: when one of them is not there, or a handler is wrong, or there is none.
    """
    for name in names.split(","):
        _load(name)
    if names == USUAL:
        check_handlers()
    elif not handlers():
        raise HandlerError(f"PIPELINE_HANDLERS: no handler in {names}: write `@handles(...)` above a function there")
    elif missing := without_handler():
        log.info("this consumer has no handler for some messages: put them where another takes them", classes=missing)


def _load(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # what it imports is missing
        raise HandlerError(f"PIPELINE_HANDLERS: there is no module {error.name}, for {name}") from None
