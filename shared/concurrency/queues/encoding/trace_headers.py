"""Trace headers: the context of whoever put a message, in the W3C's form, among its JSON headers.

They stand outside the digest of `put(id=)`, and say nothing of the way of a message: they yield where room is short.
"""

import json
from collections.abc import Mapping
from typing import Final

from shared.concurrency.queues.encoding.entry import COUNTS, LONGEST_HEADERS, Stored

_PARENT: Final = "traceparent"
_MOST: Final = {"tracestate": 200, "baggage": 200}
"""Header -> bytes of it that travel at most: whole members of its list, from the first."""
TRACE_HEADERS: Final = (_PARENT, *_MOST)
_ROOM_FOR_ERRORS: Final = 300
"""Bytes that stay free for the errors of a message, where tracestate and baggage would take them."""
_HEADERS_AT: Final = COUNTS + len(".000")
"""Where the headers stand, in what is between the key and the body."""


def pack_trace(context: Mapping[str, str]) -> list[bytes]:
    """The headers of a trace, each as one member of a JSON object, those that matter most first; none without one."""
    if _PARENT not in context:
        return []
    cut = {word: _whole_members(context[word], most) for word, most in _MOST.items() if word in context}
    kept = {_PARENT: context[_PARENT], **{word: text for word, text in cut.items() if text}}
    return [f'"{word}":{json.dumps(text, ensure_ascii=False)}'.encode() for word, text in kept.items()]


def with_trace(outgoing: bytes, trace: list[bytes], *, at: int) -> bytes:
    """An outgoing entry, or what stands of it from `at` on, with as many of these headers as it has room for."""
    start = at + _HEADERS_AT
    end = start + int(outgoing[start - 3 : start])
    headers, most = outgoing[start:end], LONGEST_HEADERS
    for member in trace:
        longer = b"%b,%b}" % (headers[:-1], member) if headers else b"{%b}" % member
        if len(longer) > most:
            break
        headers, most = longer, LONGEST_HEADERS - _ROOM_FOR_ERRORS
    return b"%b%03d%b%b" % (outgoing[: start - 3], len(headers), headers, outgoing[end:])


def trace_of(stored: Stored) -> dict[str, str]:
    """The trace headers of an entry; empty for none."""
    headers = stored.headers
    return {word: text for word in TRACE_HEADERS if isinstance(text := headers.get(word), str)}


def _whole_members(text: str, most: int) -> str:
    while len(text.encode()) > most:
        text = text.rpartition(",")[0]
    return text.strip()
