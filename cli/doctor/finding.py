"""Finding: one thing that a doctor has found, and what to do about it."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["error", "warning", "unchecked"]

KINDS: Final[tuple[Kind, ...]] = ("error", "warning", "unchecked")
"""The worst first. An error breaks a promise, or keeps a service from its work; a warning costs something, or may."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, or was not looked at."""

    kind: Kind
    about: str
    """What was looked at: the names of `CHECKS`."""
    text: str
    fix: str


def error(about: str, text: str, fix: str) -> Finding:
    """What breaks a promise, or keeps a service from its work."""
    return Finding("error", about, text, fix)


def warning(about: str, text: str, fix: str) -> Finding:
    """What costs something, or may."""
    return Finding("warning", about, text, fix)


def unchecked(about: str, text: str, fix: str) -> Finding:
    """What the server did not tell."""
    return Finding("unchecked", about, text, fix)
