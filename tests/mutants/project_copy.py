"""ProjectCopy: where a mutant lives. The working tree is never touched."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.mutants.mutant import ROOT, Mutant
from tools.new.repository import copy


class ProjectCopy:
    """The project as it is now, with one mutant in it at a time."""

    def __init__(self, folder: Path) -> None:
        """Copy it; the virtual environment stays where it is."""
        self.folder: Final = folder / "project"
        copy(ROOT, self.folder)
        self._bytecode = folder / "bytecode"
        self._temporary = folder / "t"  # short: the path of a socket has about a hundred bytes
        self._temporary.mkdir()
        self._changed = time.time()

    @contextmanager
    def with_mutant(self, mutant: Mutant) -> Iterator[None]:
        """Have the mutant in the copy while the block runs."""
        path = self.folder / mutant.file
        sound = path.read_text(encoding="utf-8")
        self._write(path, mutant.applied_to(sound))
        try:
            yield
        finally:
            self._write(path, sound)

    def environment(self, **more: str) -> dict[str, str]:
        """For a process that works in the copy, and sees nothing of the working tree."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "WEIR_", "COV_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        places = {"PYTHONPATH": self.folder, "PYTHONPYCACHEPREFIX": self._bytecode, "TMPDIR": self._temporary}
        return kept | {name: str(place) for name, place in places.items()} | more

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # Python knows a compiled file by the second of its source, and a mutant may be as long as what it replaces.
        self._changed += 1
        os.utime(path, (self._changed, self._changed))
