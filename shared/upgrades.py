"""Upgrades: the functions that bring stored messages of an older version to the next one.

`shared` exports them, so this must not import what takes long: a service catches its signals before that. `Message` is
imported where it is needed.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

U = TypeVar("U", bound=Callable[[dict[str, Any]], dict[str, Any]])


class UpgradeMissing(TypeError):
    """A message class has an older version that nothing upgrades."""


def upgrades(message_class: type[Any], *, from_version: int) -> Callable[[U], U]:
    """Make a function the one that upgrades a class's stored messages from a version to the next.

    It gets the body as a dict of JSON values and returns one. It is called where a message is read, each time it is, so
    it does nothing else. What it raises makes the message a dead letter `invalid`.

    :raises TypeError: when it is no function, or async, or the class is no message class.
    :raises ValueError: when the class has no such older version, or a function for it already.
    """
    from shared.message import Message  # noqa: PLC0415  # see above

    what = f"@upgrades({getattr(message_class, '__name__', message_class)}, from_version={from_version!r:.100})"
    if not (isinstance(message_class, type) and issubclass(message_class, Message)) or message_class is Message:
        raise TypeError(f"{what}: the first argument is a message class")
    versions = message_class.stored_versions()
    if isinstance(from_version, bool) or not isinstance(from_version, int):
        raise TypeError(f"{what}: from_version= is a whole number")
    if not 1 <= from_version < versions.number:
        raise ValueError(
            f"{what}: the class has version {versions.number}, so from_version= is from 1 to {versions.number - 1}"
            if versions.number > 1
            else f"{what}: the class has version 1: write version=2 behind Message, then this upgrades to it"
        )
    if from_version in versions.upgrades:
        raise ValueError(f"{what}: {versions.upgrades[from_version].__name__} does that already: remove one of them")

    def register(function: U) -> U:
        checked: Any = function
        if not callable(checked) or inspect.iscoroutinefunction(checked):
            raise TypeError(f"{what} is for a plain function, dict -> dict")
        versions.upgrades[from_version] = function
        return function

    return register


def check_upgrades() -> None:
    """Check that every older version of every message class can be upgraded.

    :raises UpgradeMissing: when some cannot; the message says what to write.
    """
    from shared.message import Message  # noqa: PLC0415  # see above

    missing = [
        f"@upgrades({name}, from_version={version})"
        for name, tp in sorted(Message.registered().items())
        for version in tp.stored_versions().missing()
    ]
    if missing:
        raise UpgradeMissing(f"no function upgrades these messages: write {', '.join(missing)} beside the class")
