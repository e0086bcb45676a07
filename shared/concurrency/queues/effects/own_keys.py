"""Own keys: those that a queue or a lock is stored under. No effect writes to one: its key may hold a message's text.

Of any queue and any lock, not only of those at hand: nobody means to write there.
"""

import re
from functools import lru_cache
from typing import Final

from shared.concurrency.queues.membership.keys import QUEUE_KEYS

_SUFFIXES: Final = "|".join(re.escape(each.suffix) for each in QUEUE_KEYS.values())
_OTHERS: Final = "leased:.*|source|clock|(?:lease|event|condition|barrier|rate)(?::.*)?"
_OWN: Final = re.compile(rf"\{{[^}}]*\}}(?:/[^:]*)?:(?:{_SUFFIXES}|{_OTHERS})".encode(), re.DOTALL)


@lru_cache(maxsize=1024)  # most deliveries write to the keys of the one before
def is_own_key(key: bytes) -> bool:
    """Whether a queue or a lock of some name has this key."""
    return key.startswith(b"{") and _OWN.fullmatch(key) is not None
