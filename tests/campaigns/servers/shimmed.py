"""A server behind a shim, with an append-only file."""

from pathlib import Path
from typing import Literal

from shared.local.embedded import EmbeddedServer
from tests.campaigns.servers.shim import Shim

Sync = Literal["always", "everysec", "no"]


class ShimmedServer(EmbeddedServer):
    """An embedded server that can lose its power, its room on disk, and its time."""

    def __init__(self, directory: Path, sync: Sync = "always") -> None:
        """Build the shim in `directory`. The append-only file is never rewritten, so that no inode is used again."""
        self.shim = Shim(directory / "shim")
        self.sync: Sync = sync
        super().__init__(
            directory,
            append_only=True,
            binary=self.shim.binary,
            options=["--appendfsync", sync, "--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes"],
        )
        self.files = directory.absolute() / "appendonlydir"

    def lose_power(self) -> int:
        """End as a machine does whose power fails; how many bytes were not on disk yet."""
        self.kill()
        return self.shim.lose_unsynced(self.files)

    def synced_at(self) -> int:
        """What it answered before this moment is on disk; in nanoseconds."""
        return self.shim.synced_at(self.tail())

    def tail(self) -> Path:
        """The append-only file that is written to."""
        return max(self.files.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
