"""Heap: what a process has in use, as its allocators count it. Resident memory also holds what is kept for later."""

import asyncio
import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Final

_EVERY: Final = 1.0
_MIB: Final = 1 << 20


class _Mallinfo(ctypes.Structure):
    """The `struct mallinfo2` of the C library."""

    _fields_ = tuple(
        (word, ctypes.c_size_t)
        for word in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def blocks() -> int:
    """How many small blocks Python has in use: nearly all of its objects."""
    return sys.getallocatedblocks()


def allocated() -> float:
    """How many MiB libraries in C have in use; 0 where the C library does not say."""
    if not hasattr(library := ctypes.CDLL(None), "mallinfo2"):
        return 0.0
    library.mallinfo2.restype = _Mallinfo
    found: Any = library.mallinfo2()
    return float(found.uordblks + found.hblkhd) / _MIB


async def keep_notes(folder: Path) -> None:
    """Write both down again and again, for `last_note` to read from outside."""
    path = folder / f"heap-{os.getpid()}"
    while True:
        with contextlib.suppress(OSError):  # a campaign takes its descriptors away
            path.write_text(f"{blocks()} {allocated()}\n", encoding="ascii")
        await asyncio.sleep(_EVERY)


def last_note(folder: Path, pid: int) -> dict[str, float]:
    """What a process last wrote down; nothing when it has not, or is in the middle of it."""
    try:
        words = (folder / f"heap-{pid}").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return {}
    return {"blocks": float(words[0]), "MiB in use": float(words[1])} if len(words) == 2 else {}
