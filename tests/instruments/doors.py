"""Doors: TLS in front of servers that do not speak it, as the builds that the tests run do not."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from tests.instruments.certificates import Terminator, pipe

_HANDSHAKE: Final = b"\x16"
"""How a client begins that speaks TLS."""
_COMMAND: Final = b"*"
"""How servers and sentinels begin among themselves. A client that asks whether TLS is spoken here asks otherwise."""


class Door(Terminator):
    """Who speaks TLS is counted. Servers and sentinels among themselves do not, and are let through, too."""

    def __init__(self, certificate: Path) -> None:
        """Prepare. `certificate`: what it shows."""
        super().__init__(certificate)
        self._to = 0
        self.encrypted = 0
        """How many have come that speak TLS, and accepted the certificate."""

    @contextmanager
    def before_port(self, port: int) -> Iterator[Self]:
        """Stand in front of what listens, or will listen, at this port."""
        self._to = port
        with self.before("unix:///"):
            yield self

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(30)
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._to)) as server,
        ):
            first = client.recv(1, socket.MSG_PEEK)
            if first == _COMMAND:
                pipe(client, server)
            if first != _HANDSHAKE:
                return
            with self.context.wrap_socket(client, server_side=True) as encrypted:
                self._clients.append(encrypted)
                self.encrypted += 1
                pipe(encrypted, server)
