"""Shim: a small library between a server and its machine, built where there is a C compiler."""

import mmap
import shlex
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final, Literal

from shared.local.binary import server_binary

SOURCE: Final = Path(__file__).with_name("shim.c")
_STATE: Final = struct.Struct("qq")


def why_no_shim() -> str | None:
    """The reason why no shim can be built here, or None."""
    if not shutil.which("cc"):
        return "there is no C compiler (cc) here, and the shim between server and disk is C"
    with server_binary().open("rb") as binary:
        if b"/ld-" not in binary.read(4096):
            return "the server is linked statically: nothing can be preloaded"
    return None


class Shim:
    """The library, the program that starts a server with it, and what they share."""

    def __init__(self, folder: Path) -> None:
        """Build it. CalledProcessError, with the compiler's words on stderr, where that fails."""
        folder.mkdir(parents=True)
        library = folder / "shim.so"
        subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", str(library), str(SOURCE), "-ldl"], check=True)  # noqa: S607
        (folder / "state").write_bytes(_STATE.pack(0, 0))
        with (folder / "state").open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), _STATE.size)
        self._synced = folder / "synced"
        self.binary = folder / "server"
        preload = f"WEIR_SHIM={shlex.quote(str(folder))} LD_PRELOAD={shlex.quote(str(library))}"
        self.binary.write_text(f'#!/bin/sh\n{preload} exec {shlex.quote(str(server_binary()))} "$@"\n')
        self.binary.chmod(0o700)

    @property
    def seconds_ahead(self) -> float:
        """How far the server's clock is ahead of the machine's."""
        return float(_STATE.unpack(self._state)[0]) / 1e9

    @seconds_ahead.setter
    def seconds_ahead(self, seconds: float) -> None:
        self._state[:8] = struct.pack("q", round(seconds * 1e9))

    def fill(self, how: Literal["at once", "half a write first"]) -> None:
        """Have the server's disk be full from now on."""
        self._state[8:] = struct.pack("q", 1 if how == "at once" else 2)

    def free(self) -> None:
        """Have room again."""
        self._state[8:] = struct.pack("q", 0)

    def lose_unsynced(self, folder: Path) -> int:
        """Cut every file below a folder to what an fsync has made safe; how many bytes are gone.

        A name is as safe as the file: journaling file systems order the two, and the server syncs the folder.
        """
        safe: dict[tuple[int, int], int] = {}
        for line in self._synced.read_text().split("\n")[:-1]:
            device, inode, size, _ = map(int, line.split())
            safe[device, inode] = size
        gone = 0
        for path in folder.rglob("*"):
            if path.is_file():
                about = path.stat()
                kept = min(about.st_size, safe.get((about.st_dev, about.st_ino), 0))
                gone += about.st_size - kept
                with path.open("r+b") as file:
                    file.truncate(kept)
        return gone

    def synced_at(self, path: Path) -> int:
        """What was answered before this moment is safe: the last write before the last fsync; 0 before the first."""
        about = path.stat()
        for line in reversed(self._synced.read_text().split("\n")[:-1]):
            device, inode, _, since = map(int, line.split())
            if (device, inode) == (about.st_dev, about.st_ino):
                return since
        return 0
