"""The address that a server started by hand leaves for the services in other terminals."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.concurrency.session.address.grammar import is_listed, read_listed

# Beside the packages, so that every service of one project finds it, whatever folder the service was started in.
RUN_DIRECTORY = Path(__file__).resolve().parent.parent.parent / ".run"


@contextlib.contextmanager
def published(url: str, directory: Path = RUN_DIRECTORY) -> Iterator[Path]:
    """Leave `url` in `directory` for read_address(), and remove it at the end. Raises OSError."""
    path = directory / "address"
    fresh = directory / "address.new"
    fresh.write_text(url + "\n")
    # Renamed into place: a reader sees the whole address or none.
    fresh.rename(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def read_address(directory: Path = RUN_DIRECTORY) -> str | None:
    """Return the address in `directory`; None when there is none, or when its server is gone.

    A server that was killed leaves its address behind.
    """
    try:
        url = (directory / "address").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return url if _listens(url) else None


def _listens(url: str) -> bool:
    try:
        if is_listed(url):
            return any(_accepts(host) for host in read_listed(url).hosts)
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            return False
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(os.fsencode(unquote(parts.path)))
        else:
            return _accepts((parts.hostname or "localhost", parts.port or 6379))
    except (OSError, ValueError):
        return False
    return True


def _accepts(where: tuple[str, int]) -> bool:
    try:
        socket.create_connection(where, 1).close()
    except OSError:
        return False
    return True
