"""A server that has on disk what it answered."""

from pathlib import Path

import redis

from shared.local.embedded import EmbeddedServer


class DurableServer(EmbeddedServer):
    """An embedded server that a kill takes nothing from.

    With `everysec`, the default, nothing is written while an fsync is under way: a kill may take back the last second.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, append_only=True)

    def start(self) -> None:
        super().start()
        with redis.Redis.from_url(self.url) as client:
            client.config_set("appendfsync", "always")
