"""What server answers on a socket."""

import contextlib
import re
import socket
from pathlib import Path
from typing import Final

_LARGEST: Final = 1 << 16


def server_version(path: Path) -> str:
    """Name and version of the server on this socket, e.g. `Valkey 9.1.2`; `a server` where it does not say."""
    said = b""
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"INFO server\r\nQUIT\r\n")
        while len(said) < _LARGEST and (more := connection.recv(4096)):
            said += more
    # Valkey says a redis_version, too: the one that it is compatible with.
    for name, field in (("Valkey", rb"valkey_version"), ("Redis", rb"redis_version")):
        if found := re.search(rb"^" + field + rb":(\S+)", said, re.MULTILINE):
            return f"{name} {found[1].decode(errors='replace')}"
    return "a server"
