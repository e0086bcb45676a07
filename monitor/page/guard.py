"""Guard: the headers of every answer, and who may ask by which name."""

import ipaddress
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The list of OWASP's secure headers project, for a page that takes everything from where it comes from. Without
# Strict-Transport-Security: the monitor speaks plain HTTP, and who puts TLS before it says that there.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
OPEN: Final = frozenset({"/metrics", "/livez", "/readyz"})
"""Paths for other programs of the network, which call this host as they like; nothing in them is private."""


class Guard:
    """Adds the headers, and refuses names of this host that are not known.

    A page of somebody else's whose name is made to lead here would be asked for our letters by the reader's browser;
    it cannot do so by an address or by localhost.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        """`names`: further names of this host, in lower case."""
        self._app = app
        self._names: Final = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
            await send(message)

        host = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
        app = self._app if scope["path"] in OPEN or self._knows(host) else _UNKNOWN
        await app(scope, receive, send_with_headers)

    def _knows(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").rstrip(".").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names or name.endswith(".localhost")
        return True


_UNKNOWN: Final = PlainTextResponse(
    "this name of the monitor is not known: PIPELINE_MONITOR_NAMES lists those that are, or use its address\n", 421
)
