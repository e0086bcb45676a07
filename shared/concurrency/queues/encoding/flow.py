"""Flow: what a message asks of its way, as the first of its JSON headers.

`"flow":"PRIORITY SHARE KEY LIMIT ONCE"`, one space between, empty where nothing is asked. Scripts read it at a fixed
place by one pattern, so a name holds neither spaces nor quotes: one that does is stored as a digest.
"""

import hashlib
import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple

_PLAIN: Final = re.compile(r"[!#-\[\]-}][!#-\[\]-~]{0,63}", re.ASCII)
"""What is stored as it is: printable, without a space, a quote or a backslash. `~` begins a digest."""
_LONGEST: Final = 1000
LEVEL_OF_FLOW: Final = 1
"""The protocol level that a queue needs where a message says anything of its way."""


class Priority(IntEnum):
    """How soon a message is handed out: the smallest first, as in asyncio.PriorityQueue.

    Of three that are backlogged, 64 of HIGH go before 8 of NORMAL and 1 of LOW: none starves.
    """

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Way(NamedTuple):
    """What a message asks of its way, in the order of the header; None where it asks for nothing.

    As given by a caller, not checked yet; or as stored, read back.
    """

    priority: int | None = None
    share: str | None = None
    key: str | None = None
    limit: str | None = None
    once: str | None = None

    def given(self) -> dict[str, Any]:
        """What is asked, by name: the keyword arguments of a put."""
        return {about: asked for about, asked in self._asdict().items() if asked is not None}


def way_asked(priority: int | None, share: str | None, key: str | None, limit: str | None) -> Way | None:
    """What a put asks; None where that is nothing: the usual case costs a comparison."""
    return None if priority is None and key is share is limit is None else Way(priority, share, key, limit)


_NOTHING: Final = Way()
LONGEST_FLOW: Final = " ".join(("1", *["x" * 64] * 4))
"""A header of which none is longer."""
_PLAIN_WAY: Final = "1    "
"""The header of a message that asks for nothing: it is left out."""
ABOUT: Final = ("share", "key", "limit", "once")
"""The names in a way, in their order."""
_CALLED: Final = {"share": "a share", "key": "a key", "limit": "the name of a limit", "once": "a name"}


class DeclaredWay:
    """What a message class declares of the way of its messages."""

    __slots__ = ("_makers",)

    def __init__(self, makers: dict[str, Callable[[Any], object]]) -> None:
        """`makers`: field of Way -> what makes it of a message."""
        self._makers: Final = [makers.get(field) for field in Way._fields]

    @property
    def limit(self) -> str | None:
        """The limit that all its messages have; None where they have none, or not the same."""
        limit: str | None = getattr(self._makers[Way._fields.index("limit")], "value", None)
        return limit

    def of(self, item: object, given: Way | None) -> Way:
        """The way of a message; what is given for it alone wins."""
        both = zip(_NOTHING if given is None else given, self._makers, strict=True)
        return Way._make([maker(item) if asked is None and maker is not None else asked for asked, maker in both])


def check_name(about: str, name: object) -> str:
    """A name in a way, as it is given; `about`: one of ABOUT.

    :raises TypeError: when it is no text. ValueError: when it is empty, or has more than 1,000 characters.
    """
    if not isinstance(name, str):
        raise TypeError(f"{_CALLED[about]} is a text of 1 to 1,000 characters, not {name!r:.100}")
    if not 1 <= len(name) <= _LONGEST:
        raise ValueError(f"{_CALLED[about]} is a text of 1 to 1,000 characters, not one of {len(name)}")
    return name


def check_priority(priority: object) -> int:
    """A priority, as it is stored.

    :raises TypeError: when it is no Priority and no whole number. ValueError: when it is out of range.
    """
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"a priority is Priority.HIGH, NORMAL or LOW, not {priority!r:.100}")
    if not Priority.HIGH <= priority <= Priority.LOW:
        raise ValueError(f"a priority is Priority.HIGH, NORMAL or LOW: 0 to 2, not {priority:d}")
    return int(priority)


def stored_name(name: str) -> str:
    """A name as it is stored: itself, or `~` and 24 hexadecimal digits of BLAKE2b."""
    if _PLAIN.fullmatch(name) is not None:
        return name
    # A lone surrogate is a character of a key too.
    return f"~{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def pack_flow(way: Way) -> str:
    """The header of a message that asks for this; empty where that is nothing.

    :raises TypeError, ValueError: when a priority or a name is none.
    """
    priority, share, key, limit, once = way
    packed = (
        f"{1 if priority is None else check_priority(priority)} "
        f"{'' if share is None else stored_name(check_name('share', share))} "
        f"{'' if key is None else stored_name(check_name('key', key))} "
        f"{'' if limit is None else stored_name(check_name('limit', limit))} "
        f"{'' if once is None else stored_name(check_name('once', once))}"
    )
    return "" if packed == _PLAIN_WAY else packed


def way_in(flow: object) -> Way:
    """What a header says, its names as they are stored; of one that is none of ours, that nothing is asked."""
    words = flow.split(" ") if isinstance(flow, str) else []
    if len(words) != len(Way._fields) or words[0] not in ("0", "1", "2"):
        return _NOTHING
    return Way(int(words[0]), *(word or None for word in words[1:]))
