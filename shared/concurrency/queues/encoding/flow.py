"""Flow: what a message asks of its way, as the first of its JSON headers.

`"flow":"PRIORITY SHARE KEY LIMIT ONCE"`, one space between, empty where nothing is asked. Scripts read it at a fixed
place by one pattern, so a name holds neither spaces nor quotes: one that does is stored as a digest.
"""

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(r"[!#-\[\]-}][!#-\[\]-~]{0,63}", re.ASCII)
"""What is stored as it is: printable, without a space, a quote or a backslash. `~` begins a digest."""
_LONGEST: Final = 1000
LEVEL_OF_KEYS: Final = 1
"""The protocol level that a queue needs where a message has a key."""
_NORMAL: Final = "1"


def check_key(key: object) -> str:
    """The key of an order, as it is given.

    :raises TypeError: when it is no text. ValueError: when it is empty, or has more than 1,000 characters.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is a text of 1 to 1,000 characters, not {key!r:.100}")
    if not 1 <= len(key) <= _LONGEST:
        raise ValueError(f"a key is a text of 1 to 1,000 characters, not one of {len(key)}")
    return key


def stored_name(name: str) -> str:
    """A name as it is stored: itself, or `~` and 24 hexadecimal digits of BLAKE2b."""
    if _PLAIN.fullmatch(name) is not None:
        return name
    # A lone surrogate is a character of a key too.
    return f"~{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def pack_flow(key: object) -> str:
    """The header of a message that asks for order.

    :raises TypeError, ValueError: when the key is none.
    """
    return f"{_NORMAL}  {stored_name(check_key(key))}  "


def key_in(flow: object) -> str | None:
    """The stored key in a header; None where there is none."""
    words = flow.split(" ") if isinstance(flow, str) else []
    return words[2] or None if len(words) == 5 else None  # the five names
