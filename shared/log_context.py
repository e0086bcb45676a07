"""What a log line says of the delivery that is handled where it is written: on the loop, in a thread, in a process."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

in_hand: Final[ContextVar[Any]] = ContextVar("weir_in_hand", default=None)
"""The delivery, or the batch, that is handled here. Setting this is all that a message pays."""

described_by: Final[ContextVar[Callable[[Any], dict[str, object]] | None]] = ContextVar(
    "weir_described_by", default=None
)
"""What names it, once a line is written; set once for all that a service handles."""

# Lines of these rooms are about what they name: their tasks may have been started while something was handled.
_OF_THE_ENGINE: Final = frozenset({"weir.locks", "weir.queues", "weir.session", "weir.start"})


def add_fields(event: dict[str, Any]) -> None:
    """Add the fields of what is being handled here, unless the line has fields of that name; the engine's have none."""
    work, describe = in_hand.get(), described_by.get()
    if work is None or describe is None or event.get("logger") in _OF_THE_ENGINE:
        return
    for word, value in describe(work).items():
        event.setdefault(word, value)
