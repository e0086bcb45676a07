"""Frames: bytes with their length before them, through a pipe."""

import asyncio
import struct
from typing import BinaryIO, Final

_LENGTH: Final = struct.Struct(">I")


def pack(*frames: bytes) -> bytes:
    """Frames as they travel."""
    return b"".join(part for frame in frames for part in (_LENGTH.pack(len(frame)), frame))


async def receive(stream: asyncio.StreamReader) -> bytes:
    """Wait for a frame.

    :raises asyncio.IncompleteReadError: (an EOFError) when the pipe was closed first.
    """
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    return await stream.readexactly(length)


def read(file: BinaryIO) -> bytes:
    """Wait for a frame, where there is no event loop.

    :raises EOFError: when the pipe was closed first.
    """
    (length,) = _LENGTH.unpack(_read(file, _LENGTH.size))
    return _read(file, length)


def _read(file: BinaryIO, size: int) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise EOFError
    return found
