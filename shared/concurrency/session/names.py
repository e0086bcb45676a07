"""Names: what a queue or a lease may be called, and what its keys begin with.

Every key of the queue or lease NAME begins with `{NAME}:`, so that Redis Cluster keeps them in one slot.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)

Kind = Literal["LIST", "HASH", "ZSET"]


class KeyDescription(NamedTuple):
    """What there is to know of one key; a script's header gives only the word that it is called by."""

    suffix: str
    """How it is called behind the prefix."""
    kind: Kind
    """Its type at the server."""
    holds: str


class Key(bytes):
    """One key of one queue or lease, which knows the type that it must have."""

    kind: Kind

    @classmethod
    def under(cls, name: str, description: KeyDescription, more: str = "") -> "Key":
        """The key of that description under a name; `more` stands behind its suffix."""
        tag, slash, rest = name.partition("/")
        key = cls(f"{{{tag}}}{slash}{rest}:{description.suffix}{more}".encode())
        key.kind = description.kind
        return key


def check_name(name: str) -> str:
    """Return a name of a queue or a lease if it is one.

    :raises ValueError: when it is not 1 to 64 letters, digits, `_`, `.` or `-`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a name is 1 to 64 of the characters A-Z a-z 0-9 _ . - and not {name!r}")
    return name


def full_name(name: str, group: str | None) -> str:
    """What a queue is known by: its name, or GROUP/NAME, whose keys begin with `{GROUP}/NAME:`, in the group's slot.

    :raises ValueError: when one of them is no name.
    """
    return check_name(name) if group is None else f"{check_name(group)}/{check_name(name)}"


def keys_under(name: str, descriptions: Mapping[str, KeyDescription]) -> dict[str, bytes]:
    """The keys of those descriptions under a name, by what the scripts call them."""
    return {word: Key.under(name, description) for word, description in descriptions.items()}


def channel(owner: str) -> bytes:
    """The channel of the notifications to one process."""
    return f"weir:{owner}".encode()
