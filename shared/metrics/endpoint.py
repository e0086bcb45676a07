"""Endpoint: answers /metrics, /livez and /readyz, in a thread, so that it can say that the event loop hangs."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shared.environment import SettingsError
from shared.logs import Log

log = Log("metrics")

_PATIENCE: Final = 5.0
"""Seconds that a client has to ask."""

Answer = tuple[int, str, bytes]
"""The status, the type of the content, and the content."""


class Endpoint:
    """An HTTP server of its own. Use it as an async context manager."""

    def __init__(self, port: int, registry: CollectorRegistry, probes: dict[str, Callable[[], str]]) -> None:
        """`probes`: path -> what is wrong, nothing when all is well; called in a thread.

        :raises SettingsError: when the port cannot be opened.
        """
        self._registry: Final = registry
        self._probes: Final = probes
        try:
            self._server = _Server(("", port), _handler(self.answer))
        except OSError as error:
            raise SettingsError(f"PIPELINE_METRICS_PORT: port {port} cannot be opened: {error.strerror}") from None
        self.port: Final[int] = self._server.server_address[1]

    def answer(self, path: str, accept: str) -> Answer:
        """What is answered to a GET."""
        if path == "/metrics":
            encoder, kind = choose_encoder(accept)
            return 200, kind, encoder(self._registry)
        if path in self._probes:
            problem = self._probes[path]()
            return 503 if problem else 200, "text/plain; charset=utf-8", f"{problem or 'ok'}\n".encode()
        return 404, "text/plain; charset=utf-8", b"there are /metrics, /livez and /readyz\n"

    async def __aenter__(self) -> Self:
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, name="weir-metrics", daemon=True)
        self._thread.start()
        log.info("metrics are served", port=self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._close)  # its thread looks twice a second whether it should end

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Both kinds of addresses, where there are both.
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: that asks for the name of this host, which may take seconds.
        self.allow_reuse_address = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is no news."""


def _handler(answer: Callable[[str, str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar = _PATIENCE

        def do_GET(self) -> None:
            status, kind, content = answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def version_string(self) -> str:
            return "weir"

        def log_message(self, *_: object) -> None:
            """Log no request: there is one every few seconds."""

    return Handler
