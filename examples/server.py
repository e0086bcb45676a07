"""The server that an example uses."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.local.address import read_address
from shared.local.embedded import EmbeddedServer


@contextmanager
def server() -> Iterator[str]:
    """Yield the address in REDIS_URL, or that of `./run server`, or that of a server for this block alone."""
    if url := os.environ.get("REDIS_URL") or read_address():
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="weir-") as folder, EmbeddedServer(Path(folder)) as embedded:
        yield embedded.url
