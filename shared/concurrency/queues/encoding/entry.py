"""The stored form of a message: a header of fixed width, JSON headers, the body.

    STAMP     16  when it was admitted, in microseconds of the server; orders all messages of a queue
    KEY       22  owner (12) and number (10) of the process that put it; unique
    CRASHES    1  deliveries that ended with their session
    DELIVERIES 6  deliveries that are over
    FAILURES   3  nacks
    FLAG       1  "i": the headers hold the caller's id; "r": whoever put it asks for the result; "s": both; else ".";
                  "f", "g", "t" and "u": as ".", "i", "r" and "s", and the headers begin with flow
    LENGTH     3  bytes of the headers
    headers       JSON object, empty for none: flow, once, type, v, id, digest, known_ms, results_ms, traceparent,
                  tracestate, baggage, first_error, last_error, waiting_since, unread_ms
    body          what pydantic wrote

The header is ASCII. The first 45 bytes change with every delivery: they are its *receipt*, the name of its field in
`leased`. So a script never parses an entry, and an answer to an older delivery finds nothing. An *outgoing entry* is
one that is not admitted yet, without its stamp.
"""

import json
import re
from collections.abc import Callable
from typing import Final

from shared.concurrency.queues.encoding.flow import Way, way_in

RECEIPT: Final = 45
FIXED: Final = 52
KEY: Final = 22
_STAMP: Final = 16
COUNTS: Final = 10
_CRASHES: Final = 38
_ZERO: Final = 0x30
LONGEST_HEADERS: Final = 999
"""Bytes: an entry says them with three digits."""
LARGEST_MESSAGE: Final = 1 << 24
"""Bytes of a body, at most: a server drops a subscriber whose replies are over 8 MB for a minute, or over 32 MB."""
_LONGEST_ERROR: Final = 300
_MARKS: Final = ("waiting_since", "unread_ms")
"""Headers that a script writes, when a message waits first, and when nobody here can read it; in ms."""
FLAG: Final = 48
_OUTGOING_FLAG: Final = KEY + COUNTS
"""Where the flag of an entry stands that is not sent yet."""
_IDS: Final = b"isgu"
"""The flags of entries whose headers hold the caller's id."""
ID_FLAGS: Final = frozenset(_IDS)
"""The same, as numbers."""
_FLOWS: Final = b"fgtu"
"""The flags of entries whose headers begin with flow."""
ASKED: Final = 0x72
"""The flag of an entry whose result is asked for is this or more."""
FLOW_BEGINS: Final = b'{"flow":"'
_DEFAULT_FLOW: Final = b"1 "
# One look at all of it: a slice for each part costs twice the time, for every message.
BEGINNING: Final = rb"[0-9]{16}[\x00-\x7f]{22}[0-9]{10}"


def pack_headers(headers: dict[str, str | int]) -> bytes:
    """Headers as stored; empty for none."""
    return json.dumps(headers, separators=(",", ":"), ensure_ascii=False).encode() if headers else b""


def with_flow(headers: bytes, flow: str) -> bytes:
    """Packed headers with flow before all others; an empty one is none."""
    return FLOW_BEGINS + flow.encode() + (b'",' + headers[1:] if headers else b'"}') if flow else headers


def pack_middle(headers: bytes, *, has_id: bool, is_asked: bool = False) -> bytes:
    """What stands between the key and the body of a new entry; the same for every message of a class without an id.

    One that asks something of its way differs by that.

    :raises ValueError: when the headers are longer than an entry can say.
    """
    if len(headers) > LONGEST_HEADERS:
        raise ValueError(
            f"the name of the class, the id and what is asked of the way have {len(headers)} bytes as headers, an entry has room for "
            f"{LONGEST_HEADERS}: shorten one of them"
        )
    letters = b"fgtu" if headers.startswith(FLOW_BEGINS) else b".irs"
    flag = letters[2 * is_asked + has_id : 2 * is_asked + has_id + 1]
    return b"0000000000%b%03d%b" % (flag, len(headers), headers)


def pack_headers_with_error(stored: "Stored", error: str) -> bytes:
    """The headers of an entry after a delivery that failed with this error: the first and the last error are kept.

    Each is cut to 300 characters, or to what the headers have room for; empty where they have none. The script marks in
    the headers since when a message waits, and since when nobody could read it: that room is left.
    """
    headers = {word: value for word, value in stored.headers.items() if word != "last_error"}
    kept = [word for word in ("first_error", "last_error") if word not in headers]
    marks = [f',"{word}":1000000000000' for word in _MARKS if word not in headers]
    longest = LONGEST_HEADERS - len("".join(marks))
    room = longest - len(pack_headers(headers | dict.fromkeys(kept, "")))
    text = _cut(error[:_LONGEST_ERROR].encode("utf-8", "backslashreplace").decode(), room // len(kept))
    packed = pack_headers(headers | dict.fromkeys(kept, text))
    return packed if len(packed) <= longest else b""


def _cut(text: str, room: int) -> str:
    """As much of a text as takes so many bytes as JSON."""
    text = text[:_LONGEST_ERROR]
    while text and (size := len(json.dumps(text, ensure_ascii=False).encode()) - 2) > room:
        text = text[: len(text) * max(0, room) // size]
    return text


def key_of(receipt: bytes) -> bytes:
    """The message's own key, of a receipt or of a whole entry."""
    return receipt[_STAMP : _STAMP + KEY]


def attempt_of(receipt: bytes) -> int:
    """Which delivery a receipt, or a whole entry, is of; from 1."""
    return int(receipt[KEY + _STAMP + 1 : RECEIPT]) + 1


def stamp_of(entry: bytes) -> float:
    """When it was admitted, in seconds since the epoch, by the server's clock.

    :raises ValueError: when another program wrote none there.
    """
    return int(entry[:_STAMP]) / 1e6


def crashes_of(entry: bytes) -> int:
    """How many deliveries of a message ended with their session, of its whole entry."""
    return entry[_CRASHES] - _ZERO


def failures_of(entry: bytes) -> int:
    """How many deliveries of a message were nacked, of its whole entry."""
    return int(entry[RECEIPT:FLAG])


def keys_in(joined: bytes) -> set[bytes]:
    """The keys that a script has joined."""
    return {joined[at : at + KEY] for at in range(0, len(joined), KEY)}


def receipts_in(joined: bytes) -> list[bytes]:
    """The receipts that a script has joined."""
    return [joined[at : at + RECEIPT] for at in range(0, len(joined), RECEIPT)]


def has_id(outgoing: bytes) -> bool:
    """Whether the headers of an outgoing entry hold the caller's id."""
    return outgoing[_OUTGOING_FLAG] in _IDS


def flags_of(outgoing: list[bytes]) -> set[int]:
    """The flags of these; asked for all that one call puts, so without a call for each."""
    return {entry[_OUTGOING_FLAG] for entry in outgoing}


def is_asked_by_id(entry: bytes) -> bool:
    """Whether the result of an entry is asked for, under the caller's id."""
    return entry[FLAG] >= ASKED and entry[FLAG] in _IDS


def has_flow(outgoing: bytes) -> bool:
    """Whether the headers of an outgoing entry begin with flow."""
    return outgoing[_OUTGOING_FLAG] in _FLOWS


def flow_of_entry(outgoing: bytes) -> bytes:
    """The flow that an outgoing entry is of, priority and share; empty for the default one."""
    if outgoing[_OUTGOING_FLAG] not in _FLOWS:
        return b""
    at = _OUTGOING_FLAG + 4 + len(FLOW_BEGINS)
    found = outgoing[at : outgoing.index(b" ", at + 2)]
    return b"" if found == _DEFAULT_FLOW else found


class Stored:
    """An entry read back. Most of it is read only when it is needed: a message passes here on its hot path."""

    __slots__ = ("_entry", "body", "headers", "receipt")

    def __init__(self, entry: bytes, headers: dict[str, str | int], body: bytes) -> None:
        """Made by `read`."""
        self._entry = entry
        self.receipt = entry[:RECEIPT]
        self.headers = headers
        self.body = body

    @property
    def key(self) -> str:
        """The message's own key, unique."""
        return key_of(self._entry).decode("ascii")

    @property
    def id(self) -> str:
        """The caller's id, or else the key."""
        return str(self.headers["id"]) if "id" in self.headers else self.key

    @property
    def type_name(self) -> str | None:
        """The message's class, where it travels with it."""
        return self._text("type")

    @property
    def version(self) -> int:
        """The version of the class that wrote it.

        :raises ValueError: when the header is none.
        """
        version = self.headers.get("v", 1)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise ValueError(f"the header v is a whole number from 1, not {version!r:.100}")
        return version

    @property
    def way(self) -> Way:
        """What it asks of its way, names as they are stored."""
        return way_in(self.headers.get("flow"))

    @property
    def put_at(self) -> float:
        """When it was admitted: seconds since the epoch, by the server's clock."""
        return int(self._entry[:16]) / 1e6

    @property
    def attempt(self) -> int:
        """Which delivery this is, from 1."""
        return attempt_of(self._entry)

    @property
    def failures(self) -> int:
        """How many deliveries were nacked."""
        return int(self._entry[45:48])

    @property
    def first_error(self) -> str | None:
        """What was wrong at the first failure; None when it is unknown."""
        return self._text("first_error")

    @property
    def last_error(self) -> str | None:
        """What was wrong at the last failure; None when it is unknown."""
        return self._text("last_error")

    def _text(self, word: str) -> str | None:
        text = self.headers.get(word)
        return None if text is None else str(text)


_OWN: Final = {"flow", "last_error", "traceparent", *_MARKS}
"""Headers that differ from message to message."""
_seen_headers: Final[dict[bytes, dict[str, str | int]]] = {b"": {}}


def _read_headers(raw: bytes, *, has_id: bool) -> dict[str, str | int]:
    known = _seen_headers.get(raw)
    if known is not None:
        return known
    try:
        headers = json.loads(raw.decode())
        if b"\\u" in raw:
            pack_headers(headers)  # a lone surrogate, which no text may hold that is sent on
    except RecursionError as error:
        raise ValueError("the headers are nested too deeply") from error
    if not isinstance(headers, dict):
        raise ValueError("the headers are no JSON object")  # noqa: TRY004  # the entry is bad, not the call
    # Without an id and an error they are the same for every message of a class: worth keeping, and few.
    is_usual = not has_id and not _OWN.intersection(headers)
    if is_usual and len(_seen_headers) < 1000:
        _seen_headers[raw] = headers
    return headers


is_entry: Final[Callable[[bytes], re.Match[bytes] | None]] = re.compile(BEGINNING).match
"""Whether it begins as an entry does."""


def read(entry: bytes) -> Stored:
    """Take an entry apart.

    :raises ValueError: when it is none.
    """
    if not is_entry(entry):
        raise ValueError("the header of fixed width is broken")
    end = FIXED + int(entry[49:FIXED])
    headers = _read_headers(entry[FIXED:end], has_id=entry[FLAG] in _IDS)
    return Stored(entry, headers, entry[end:])
