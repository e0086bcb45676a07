"""Finds the boundaries of commands and replies in a RESP stream, keeping the bytes as they are."""

import asyncio

_BULK = b"$!="
_AGGREGATES = b"*~>"
_PAIRS = b"%|"


async def read_command(stream: asyncio.StreamReader) -> tuple[bytes, tuple[bytes, ...]]:
    """Read one command: its bytes, and its words. Raises IncompleteReadError at the end of the stream."""
    head = await stream.readuntil(b"\r\n")
    raw, words = [head], []
    for _ in range(int(head[1:])):
        size = await stream.readuntil(b"\r\n")
        body = await stream.readexactly(int(size[1:]) + 2)
        raw += [size, body]
        words.append(body[:-2])
    return b"".join(raw), tuple(words)


async def read_reply(stream: asyncio.StreamReader) -> bytes:
    """Read one reply or push, whole. Raises IncompleteReadError at the end of the stream."""
    raw: list[bytes] = []
    left = 1
    while left:
        left -= 1
        line = await stream.readuntil(b"\r\n")
        raw.append(line)
        kind, count = line[0], line[1:-2]
        if kind in _BULK and count != b"-1":
            raw.append(await stream.readexactly(int(count) + 2))
        elif kind in _AGGREGATES:
            left += max(0, int(count))
        elif kind in _PAIRS:
            # Attributes (|) come before the value that they belong to.
            left += 2 * int(count) + (kind == b"|"[0])
    return b"".join(raw)
