"""Forge: makes entries as a hostile program would store them: valid ones, spoilt ones, and bytes that are none."""

import json
import random
from typing import Any, Final

from shared.concurrency.queues.encoding.entry import RECEIPT

DIGITS: Final = b"0123456789"
TOKENS: Final = (
    b"\x00", b"\n", b"\r\n", b" ", b"-1", b"999999", b"nan", b"inf", b"0x1f", b"1e9", b"{", b"}", b"[", b'"', b"\\", b",",
    b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[31m", b"%s%n", b"null", b"true", b"*", b"+", b"@", b"~", b"!", b"=",
    "\u202e".encode(), "\U0001f4a9".encode(),
)  # fmt: skip
"""What is put into good bytes, wherever."""

HEADERS: Final[tuple[bytes, ...]] = (
    b"", b"{}", b"null", b"7", b"[]", b'"x"', b"{", b"[" * 900, b'{"a":' * 150, b"[" * 450 + b"]" * 450,
    b'{"type":null}', b'{"type":["Order"]}', b'{"type":{"a":1}}', b'{"type":7}', b'{"type":"Order","type":"Refund"}',
    b'{"type":"\\ud800"}', b'{"type":"Order","x":"\\ud800"}', b'{"type":"Order","id":"\\udfff"}', b'{"type":"' + b"x" * 800 + b'"}',
    b'{"type":"Order","id":null}', b'{"type":"Order","id":[[]]}', b'{"type":"Order","id":""}', b'{"type":"Order","id":"a\\u0000b"}',
    b'{"type":"Order","v":0}', b'{"type":"Order","v":99}', b'{"type":"Order","v":NaN}', b'{"type":"Order","v":1e999}',
    b'{"type":"Order","v":' + b"9" * 800 + b"}", b'{"type":"Order","v":"1"}', b'{"type":"Order","v":true}', b'{"type":"Order","x":Infinity}',
    b'{"type":"Order","first_error":["x"],"last_error":{"a":1}}', b'{"type":"Order","last_error":"' + b"e" * 900 + b'"}',
    b'{"type":"Order","waiting_since":-1}', b'{"type":"Order","waiting_since":"x"}', b'{"type":"Order","unread_ms":1e300}',
    b'{"type":"Order","unread_ms":99999999999999999999}', b'{"type":"Nobody","unread_ms":-5}', b'{"type":"Nobody","unread_ms":null}',
    b'{"type":"Order","results_ms":-1}', b'{"type":"Order","results_ms":"soon"}', b'{"type":"Order","results_ms":1e308}',
    b'{"type":"Order","id":"a","digest":7,"known_ms":"x"}', b'{"type":"Order","id":"a","digest":"","known_ms":-9}',
    b'{"type":"Order","traceparent":"00-' + b"0" * 32 + b"-" + b"0" * 16 + b'-01"}', b'{"type":"Order","traceparent":[]}',
    b'{"type":"Order","traceparent":"\\ud83d","baggage":"\\n\\r"}', b'{"flow":7,"type":"Order"}', b'{"flow":"","type":"Order"}',
    b'{"flow":"1  k  ","type":"Order"}', b'{"flow":"9 s k l o","type":"Order"}', b'{"flow":"-1 %s {} * \\n","type":"Order"}',
    b'{"flow":"1  ' + b"k" * 700 + b'  ","type":"Order"}', b'{"flow":null}', b'{"__proto__":1,"type":"Order"}',
)  # fmt: skip
"""Headers, as they might stand in an entry."""

BODIES: Final[tuple[bytes, ...]] = (
    b"", b"null", b"[]", b"{}", b"7", b'"x"', b"\x00" * 20, b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100_000,
    b'{"number":' + b"[" * 300 + b"]" * 300 + b"}", b'{"number":' + b"9" * 5000 + b"}", b'{"number":1e999}', b'{"number":-0.0}',
    b'{"number":NaN}', b'{"number":1,"number":2}', b'{"number":1,"note":"\\ud800"}', b'{"number":1,"note":"\xed\xa0\x80"}',
    b'{"number":1,"note":"' + b"x" * 70_000 + b'"}', b'{"number":true}', b'{"number":"1"}', b'{"number":1}{"number":2}',
    b'{"number":1,"any":' + b'{"a":' * 150 + b"1" + b"}" * 150 + b"}", b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os.",
)  # fmt: skip
"""Bodies, likewise."""

_FLAGS: Final = b"........iirrrrssfgtuaxz0A\x00 \xff"


def chance_of(seed: int) -> random.Random:
    """A source of chance; the same seed makes the same."""
    return random.Random(seed)  # noqa: S311  # no secret


class Forge:
    """Makes entries from one source of chance. No two of them share a receipt: the server would take them for one."""

    def __init__(self, chance: random.Random) -> None:
        """Begin; the same chance makes the same entries."""
        self.chance: Final = chance
        self._made = 0
        self._seen: set[bytes] = set()

    def entry(self) -> bytes:
        """One more entry."""
        while True:
            made = self._entry()
            if made[:RECEIPT] not in self._seen:
                self._seen.add(made[:RECEIPT])
                return made

    def _entry(self) -> bytes:
        chance = self.chance.random()
        if chance < 0.05:
            return self.chance.randbytes(self.chance.choice((0, 1, 44, 45, 48, 51, 52, 60, 200)))
        if chance < 0.35:
            return self.good()
        if chance < 0.65:
            headers = self.chance.choice(HEADERS)
            body = self.chance.choice(BODIES) if self.chance.random() < 0.3 else self.body()
            return self.good(headers=headers, body=body)
        if chance < 0.75:
            return self.good(body=self.chance.choice(BODIES))
        return self.spoilt(self.good())

    def good(self, headers: bytes | None = None, body: bytes | None = None) -> bytes:
        """An entry in the right form, as far as headers and body are; its flag is any."""
        self._made += 1
        if headers is None:
            headers = self.headers()
        flag = bytes([self.chance.choice(_FLAGS)])
        counts = (
            b"0000000000"
            if self.chance.random() < 0.7
            else self.chance.choice((b"9999999999", b"2000001000", b"1000003004"))
        )
        packed = headers[:999]
        start = b"%016d%b%010d%b" % (1_700_000_000_000_000 + self._made, b"forgedforged", self._made, counts)
        return start + flag + b"%03d" % len(packed) + packed + (self.body() if body is None else body)

    def headers(self) -> bytes:
        """Headers as one of our processes writes them."""
        words: dict[str, Any] = {"type": self.chance.choice(("Order", "Refund", "Order", "Nobody"))}
        if self.chance.random() < 0.2:
            words |= {"id": f"id-{self._made}", "digest": "0" * 24, "known_ms": 3_600_000}
        if self.chance.random() < 0.1:
            words |= {"results_ms": 1000}
        return json.dumps(words, separators=(",", ":")).encode()

    def body(self) -> bytes:
        """A body that the classes read."""
        body: dict[str, Any] = {"number": self.chance.randrange(1000)}
        if self.chance.random() < 0.3:
            body |= {"note": self.chance.choice(("", "x" * 100, "\x00\n\x1b[31m", "💥"))}
        return json.dumps(body).encode()

    def spoilt(self, good: bytes) -> bytes:
        """Bytes with one to four things wrong."""
        spoilt = bytearray(good)
        for _ in range(self.chance.randint(1, 4)):
            at = (
                self.chance.randrange(len(spoilt) + 1)
                if self.chance.random() < 0.4
                else self.chance.randrange(min(60, len(spoilt) + 1))
            )
            match self.chance.randrange(7):
                case 0:
                    spoilt[at : at + 1] = bytes([self.chance.randrange(256)])
                case 1:
                    spoilt[at : at + self.chance.randint(1, 8)] = b""
                case 2:
                    spoilt[at:at] = self.chance.choice(TOKENS)
                case 3:
                    token = self.chance.choice(TOKENS)
                    spoilt[at : at + len(token)] = token
                case 4:
                    spoilt[at : at + 1] = bytes([self.chance.choice(DIGITS)])
                case 5:
                    del spoilt[at:]
                case _:
                    spoilt[at:at] = spoilt[max(0, at - self.chance.randint(1, 40)) : at]
        return bytes(spoilt)
