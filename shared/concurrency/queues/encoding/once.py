"""Once: what a put of which one is to wait asks for beside its name, as the header that stands behind flow.

`"once":"HOW CALM LONGEST EVERY"`: HOW is `r` where a put replaces what waits and `k` where it adds nothing then; the
others are milliseconds, 0 where nothing is asked.
"""

import re
from collections.abc import Callable
from typing import Final

from shared.concurrency.queues.encoding.entry import ID_FLAGS, flags_of

HEADER: Final = "once"
_FLOW: Final = 0x66
"""The flag of an entry that has flow, and neither an id nor anybody who asks for its result."""
_BEGINS: Final[Callable[[bytes], re.Match[bytes] | None]] = re.compile(
    rb'.{36}\{"flow":"[^"]*","once":"', re.DOTALL
).match


def pack_once(replace: bool, calm_ms: int, longest_ms: int, every_ms: int) -> str:  # noqa: FBT001  # as they are stored
    """The header of a message of which one is to wait."""
    return f"{'r' if replace else 'k'} {calm_ms} {longest_ms} {every_ms}"


def any_may_be_known(outgoing: list[bytes]) -> bool:
    """Whether the caller named one of these, or one is `is_once`; asked for all that one call puts."""
    flags = flags_of(outgoing)
    return not flags.isdisjoint(ID_FLAGS) or (_FLOW in flags and any(map(is_once, outgoing)))


def is_once(outgoing: bytes) -> bool:
    """Whether an outgoing entry is one of which one is to wait."""
    return _BEGINS(outgoing) is not None
