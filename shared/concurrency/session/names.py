"""Names: what a queue or a lease may be called, and what its keys begin with.

Every key of the queue or lease NAME begins with `{NAME}:`, so that Redis Cluster keeps them in one slot. A lock, an
event or a barrier may have any printable name; keys and notifications then hold a digest of it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_LONGEST: Final = 200

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
    """Return a name of a queue or of a group if it is one.

    :raises ValueError: when it is not 1 to 64 letters, digits, `_`, `.` or `-`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a name is 1 to 64 of the characters A-Z a-z 0-9 _ . - and not {name!r}")
    return name


class StoredName(str):
    """A name as keys and notifications hold it, which knows what people call it."""

    __slots__ = ("shown", "unlike")

    shown: str
    """The name that was given."""
    unlike: str
    """The same where it is stored as another one, else empty."""

    @classmethod
    def of(cls, name: str) -> "StoredName":
        """The stored form of a name: itself, or `~` and 24 hexadecimal digits of BLAKE2b.

        :raises ValueError: when it is not 1 to 200 printable characters.
        """
        # No name of a queue begins with `~`, and one of a lock that does is digested too: nothing can be mistaken.
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST or not name.isprintable():
            raise ValueError(f"a name is 1 to {_LONGEST} printable characters, and not {name!r}")
        plain = _NAME.fullmatch(name) is not None
        stored = cls(name if plain else f"~{hashlib.blake2b(name.encode(), digest_size=12).hexdigest()}")
        stored.shown, stored.unlike = name, "" if plain else name
        return stored


def full_name(name: str, group: str | None) -> str:
    """What a queue is known by: its name, or GROUP/NAME, whose keys begin with `{GROUP}/NAME:`, in the group's slot.

    :raises ValueError: when one of them is no name.
    """
    return check_name(name) if group is None else f"{check_name(group)}/{check_name(name)}"


def keys_under(name: str, descriptions: Mapping[str, KeyDescription]) -> dict[str, bytes]:
    """The keys of those descriptions under a name, by what the scripts call them."""
    return {word: Key.under(name, description) for word, description in descriptions.items()}


def tag_of(keys: Mapping[str, bytes]) -> str:
    """What keys of one queue or lease begin with, between braces: its name, or its group."""
    return next(iter(keys.values())).partition(b"}")[0][1:].decode()


def channel(owner: str) -> bytes:
    """The channel of the notifications to one process."""
    return f"weir:{owner}".encode()
