"""A server that has on disk what it answered."""

from pathlib import Path

from shared.local.embedded import EmbeddedServer


class DurableServer(EmbeddedServer):
    """An embedded server that a kill takes nothing from.

    With `everysec`, the default, nothing is written while an fsync is under way: a kill may take back the last second.
    It is said on the command line: a client that said it after the start could be killed by a fault of a campaign.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, append_only=True, options=["--appendfsync", "always"])
