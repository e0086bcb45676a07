"""What a log line says of the delivery that is handled where it is written: on the loop, in a thread, in a process."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

in_hand: Final[ContextVar[tuple[Any, Callable[[Any], dict[str, object]]] | None]] = ContextVar(
    "weir_in_hand", default=None
)
"""A delivery, or a batch, and what names it. Named only once a line is written: setting this is all that it costs."""

# Lines of these rooms are about what they name: their tasks may have been started while something was handled.
_OF_THE_ENGINE: Final = frozenset({"weir.locks", "weir.queues", "weir.session", "weir.start"})


def add_fields(event: dict[str, Any]) -> None:
    """Add the fields of what is being handled here, unless the line has fields of that name; the engine's have none."""
    found = in_hand.get()
    if found is None or event.get("logger") in _OF_THE_ENGINE:
        return
    work, describe = found
    for word, value in describe(work).items():
        event.setdefault(word, value)
