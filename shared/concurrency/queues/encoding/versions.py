"""Versions: the version of one message class, and the functions that upgrade older messages to it."""

import json
from collections.abc import Callable
from typing import Any, Final

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class Versions:
    """The version that a class has now, from 1, and a function for each older one that leads to the next."""

    def __init__(self, number: int = 1) -> None:
        """Begin without functions."""
        self.number: Final = number
        """The version that messages are written with."""
        self.upgrades: Final[dict[int, Upgrade]] = {}
        """Version -> what makes of its body, a JSON object, that of the next version."""

    def missing(self) -> list[int]:
        """The older versions that have no function."""
        return [version for version in range(1, self.number) if version not in self.upgrades]

    def upgraded(self, body: object, version: int) -> bytes:
        """The body of an older version, as the version of now stores it.

        What a function raises is raised here, BaseException too.

        :raises LookupError: when a function is missing.
        :raises ValueError, TypeError: when the body is no JSON object, or what a function returned.
        """
        upgraded = body
        if not isinstance(upgraded, dict):
            raise ValueError(f"a message is a JSON object, not a {type(upgraded).__name__}")  # noqa: TRY004  # the body is bad, not the call
        for number in range(version, self.number):
            if number not in self.upgrades:
                raise LookupError(f"nothing upgrades version {number}: write @upgrades(..., from_version={number})")
            upgrade = self.upgrades[number]
            upgraded = upgrade(upgraded)
            if not isinstance(upgraded, dict):
                raise TypeError(
                    f"{upgrade.__name__} upgrades from version {number} and returned {type(upgraded).__name__}: "
                    "return a dict"
                )
        return json.dumps(upgraded, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


ONLY: Final = Versions()
"""What a type has that knows no versions."""
