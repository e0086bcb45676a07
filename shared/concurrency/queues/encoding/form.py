"""Form: what entries of one class have in common, so that one look finds where the body of the next one begins."""

import re
from typing import Final

from shared.concurrency.queues.encoding.entry import BEGINNING, COUNTS, FIXED, FLAG, FLOW_BEGINS, pack_middle

_TRACE: Final = rb'(?:,"(?:traceparent|tracestate|baggage)":"[^"\\]*")*'


class EntryForm:
    """What entries of one class have in common where nobody gave an id."""

    def __init__(self, packed: bytes) -> None:
        """`packed`: their headers, but for flow and those of a trace.

        :raises ValueError: when the headers are longer than an entry can say.
        """
        self.packed: Final = packed
        self.middle: Final = pack_middle(packed, has_id=False)
        """What stands between the key and the body, of those that say nothing of their way."""
        mark = self.middle[COUNTS + 1 :]
        self.matches: Final = re.compile(BEGINNING + b"[.r]" + re.escape(mark)).match
        """Whether an entry is one of them that says nothing of its way."""
        self.body_at: Final = FLAG + 1 + len(mark)
        """Where the body of that begins."""
        own = re.escape(packed[1:-1])
        flow = FLOW_BEGINS + rb'[^"\\]*"(?:,"once":"[^"\\]*")?' + (b"," + own if own else b"") + _TRACE
        traced = b"{" + (own or rb'"traceparent":"[^"\\]*"') + _TRACE
        self._matches_more = re.compile(
            BEGINNING + b"(?:[ft]([0-9]{3})" + flow + b"|[.r]([0-9]{3})" + traced + b")}"
        ).match

    def longer_body_at(self, entry: bytes) -> int:
        """Where the body begins, of an entry that says something of its way or has a trace; 0 for any other."""
        match = self._matches_more(entry)
        return 0 if match is None or (at := match.end()) - FIXED != int(match[1] or match[2]) else at
