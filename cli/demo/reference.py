"""The plain count that the demo is held against: one process, whole files, no pipeline."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def list_files(path: Path | None, glob: str) -> list[Path]:
    """The files of the demo, sorted; without a path the standard library's, without what is installed beside it."""
    root = path or Path(os.__file__).parent
    installed = {"site-packages", "dist-packages"} if path is None else set()
    return sorted(file for file in root.glob(glob) if file.is_file() and not installed & set(file.parts))


def estimate(files: Sequence[Path]) -> int:
    """About how many messages these files make, for the progress bar: one for 200 lines or 64 KiB."""
    total = 0
    for path in files:
        try:
            data = path.read_bytes()
        except OSError:
            continue
        total += max(-(-data.count(b"\n") // 200), -(-len(data) // 65536))
    return max(1, total)


def count_files(files: Sequence[Path]) -> tuple[int, Counter[str]]:
    """Read every file and count its words: how many could be read, and the counts."""
    total: Counter[str] = Counter()
    read = 0
    for path in files:
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
        except OSError:
            continue
        read += 1
        # The definition once more, on purpose: a mistake in the pipeline's code must not hide here.
        total.update(match.lower() for match in re.findall(r"[^\W\d_]+", text))
    return read, total
