"""Certificates made for a test, and a server behind TLS that shows one."""

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

_OPENSSL: Final = shutil.which("openssl")
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

needs_openssl: Final = pytest.mark.skipif(
    _OPENSSL is None, reason="there is no openssl on PATH to make certificates with"
)


class Authority:
    """One that signs certificates; `file` is its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        """Make one in a folder."""
        self._folder, self._name = folder, name
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.file,
        )  # fmt: skip

    def certificate(self, host: str, *, is_expired: bool = False) -> Path:
        """A certificate for a host name and its key, both in the file that is returned."""
        stem = self._folder / f"{self._name}-{host}{'-expired' if is_expired else ''}"
        key, request, signed = (stem.with_name(f"{stem.name}.{end}") for end in ("key", "csr", "crt"))
        extension = stem.with_name(f"{stem.name}.ext")
        extension.write_text(f"subjectAltName=DNS:{host}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", *_KEY, "-subj", f"/CN={host}", "-keyout", key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-out", signed,
            "-days", "-1" if is_expired else "2", "-extfile", extension,
        )  # fmt: skip
        whole = stem.with_name(f"{stem.name}.pem")
        whole.write_bytes(key.read_bytes() + signed.read_bytes())
        return whole


def _openssl(*arguments: str | Path) -> None:
    assert _OPENSSL is not None
    subprocess.run([_OPENSSL, *arguments], check=True, capture_output=True)


class Terminator:
    """TLS in front of a server's socket: what it shows and asks for may change while it runs.

    Threads, for asyncio's servers say nothing to a client whose certificate they refuse.
    """

    def __init__(self, certificate: Path, clients: Path | None = None) -> None:
        """`clients`: the authority of the certificates that clients must have; None: they need none."""
        self.context: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.shows(certificate)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(clients)
        self.port = 0
        self._threads: list[threading.Thread] = []
        self._clients: list[socket.socket] = []
        self._upstream = ""

    def shows(self, certificate: Path) -> None:
        """Show this one from the next connection on."""
        self.context.load_cert_chain(certificate)

    def drop(self) -> None:
        """Break all connections."""
        for client in self._clients:
            _end(client)

    @contextmanager
    def before(self, url: str) -> Iterator["Terminator"]:
        """Stand in front of the server at this socket."""
        self._upstream = unquote(urlsplit(url).path)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            accepting = threading.Thread(target=self._accept, args=(listening,))
            accepting.start()
            try:
                yield self
            finally:
                _end(listening)
                accepting.join()
                self.drop()
                for thread in self._threads:
                    thread.join()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the end
            while True:
                client, _ = listening.accept()
                self._clients.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        # With a timeout: what is sent at the very end is not waited for.
        client.settimeout(30)
        with (
            contextlib.suppress(OSError),
            client,
            socket.socket(socket.AF_UNIX) as server,
            self.context.wrap_socket(client, server_side=True) as encrypted,
        ):
            self._clients.append(encrypted)
            server.connect(self._upstream)
            pipe(encrypted, server)


def pipe(client: socket.socket, server: socket.socket) -> None:
    """Pass on what either side sends, until one of them ends."""
    while True:
        is_read = isinstance(client, ssl.SSLSocket) and client.pending()  # by OpenSSL: the kernel has no more of it
        ready = [client] if is_read else select.select([client, server], [], [])[0]
        for one, other in ((client, server), (server, client)):
            if one in ready:
                data = one.recv(65536)
                if not data:
                    return
                other.sendall(data)


def _end(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed, or nobody is at the other end
        opened.shutdown(socket.SHUT_RDWR)
