"""What settings say of queues: their names, and how many deliveries of each are handled at once."""

import re
from typing import Final

MOST_AT_ONCE: Final = 1000
"""Deliveries of a queue that one consumer handles at once, at most."""

_NAME: Final = re.compile(r"(?:[A-Za-z0-9_.-]{1,64}/)?[A-Za-z0-9_.-]{1,64}", re.ASCII)


def queue_name(value: str) -> str:
    """The name of a queue, or GROUP/NAME.

    :raises ValueError: when it is none.
    """
    if not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 of the characters A-Z a-z 0-9 _ . -, or two such names, as GROUP/NAME")
    return value


def split_name(value: str) -> tuple[str, str | None]:
    """The name of a queue, and its group if it has one."""
    group, slash, name = value.rpartition("/")
    return name, group if slash else None


def served_queues(value: str) -> str:
    """Queues with commas between them, each with a number or without: `mail:20,shop/orders`.

    :raises ValueError: when it is something else.
    """
    queues = _read(value)
    return ",".join(f"{name}:{number}" if number else name for name, number in queues.items())


def concurrency_of(value: str, usual: int) -> dict[str, int]:
    """How many deliveries of each of these queues are handled at once; `usual`: of one without a number."""
    return {name: number or usual for name, number in _read(value).items()}


def _read(value: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for part in value.split(","):
        name, colon, number = (word.strip() for word in part.partition(":"))
        if not _NAME.fullmatch(name) or (colon and not re.fullmatch(r"[0-9]{1,4}", number)):
            raise ValueError("must be queues with commas between them, each with a number or without: mail:20,render:2")
        if name in found:
            raise ValueError(f"names the queue {name} twice")
        if colon and not 1 <= int(number) <= MOST_AT_ONCE:
            raise ValueError(f"the number behind {name} must be from 1 to {MOST_AT_ONCE}")
        found[name] = int(number) if colon else None
    return found
