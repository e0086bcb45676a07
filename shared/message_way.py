"""What a message class declares of the way of its messages: functions of a message."""

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Any, Final

from shared.concurrency.queues.encoding.flow import check_name, check_priority


class Same:
    """Makes the same of every message."""

    def __init__(self, value: object) -> None:
        """`value`: what it makes."""
        self.value: Final = value

    def __call__(self, _: object) -> object:
        """Make it."""
        return self.value


def makers_of_way(name: str, fields: Collection[str], **declared: object) -> dict[str, Callable[[Any], object]]:
    """What makes each part of the way of a message; `name`: of the class, `declared`: as its statement says it.

    :raises TypeError, ValueError: when a part is neither what it says nor a function.
    """
    return {about: _maker(name, about, each, fields) for about, each in declared.items() if each is not None}


def _maker(name: str, about: str, declared: object, fields: Collection[str]) -> Callable[[Any], object]:
    if callable(declared):
        function: Callable[[Any], object] = declared
        return function
    if about in {"priority", "limit"}:
        try:
            value: object = check_priority(declared) if about == "priority" else check_name(about, declared)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {about}= {error}") from None
        return Same(value)
    if not isinstance(declared, str) or declared not in fields:
        raise TypeError(
            f"{name}: {about}= is the name of a field, or a function of the message, not {declared!r:.100}; the fields "
            f"are {', '.join(fields) or 'none'}"
        )
    return attrgetter(declared)
