"""The text of an address, taken apart. No error holds a character of it: part of a password may stand anywhere."""

import re
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

_LIKE: Final = (
    "the address cannot be read: it is like redis://:password@host:6379/0 (a password's / : @ # ? % and spaces are "
    "written %2F %3A %40 %23 %3F %25 %20)"
)
_RAW: Final = re.compile(r"[\x00-\x20\x7f#]|%(?![0-9A-Fa-f]{2})")
"""What stands in no address: urlsplit would drop some of it without a word."""


def split_text(text: object, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an address with one of these schemes; what a password raw in it would shift is an error.

    :raises ValueError: when it cannot be read. It comes from no other error: those of the parser repeat the text.
    """
    scheme = text.partition("://")[0].lower() if isinstance(text, str) else ""
    if not isinstance(text, str) or scheme not in schemes or "://" not in text:
        ways = ", ".join(f"{scheme}://" for scheme in schemes[:-1])
        raise ValueError(f"the address begins with {ways} or {schemes[-1]}://, for example redis://localhost:6379/0")
    parts = None if _RAW.search(text) else _split(text)
    if parts is None or parts.netloc.count("@") > 1 or "@" in parts.query:
        unreadable()
    if parts.netloc.rpartition("@")[2] == parts.netloc and "@" in parts.path and (parts.netloc or scheme != "unix"):
        unreadable()  # a / in a password has ended the part before the @
    return parts


def unreadable() -> NoReturn:
    """Refuse an address.

    :raises ValueError: always.
    """
    raise ValueError(_LIKE)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # it repeats what it cannot read
        return None
    return None if port == 0 else parts
