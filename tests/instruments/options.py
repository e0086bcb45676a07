"""An embedded server with options of a test's own."""

from pathlib import Path
from typing import Any

from shared.local.embedded import EmbeddedServer


class ServerWithOptions(EmbeddedServer):
    """Is started with these options behind the usual ones."""

    def __init__(self, directory: Path, *, options: dict[str, str], **about: Any) -> None:
        super().__init__(directory, **about)
        self._options = options

    def arguments(self) -> dict[str, str]:
        return super().arguments() | self._options
