"""How every connection to an address is made; the address's own options win."""

import socket
from typing import Any, Final

# A peer that says nothing is probed after 15 s, and dropped 15 s later; so is one that takes nothing we have sent.
_KEEPALIVE: Final = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000),
    )
    if hasattr(socket, name)
}  # fmt: skip


def connect_options(scheme: str) -> dict[str, Any]:
    """Options for redis-py beside those of an address: keepalive, and the host name of a certificate is checked.

    redis-py 5 leaves both off. `?ssl_check_hostname=false` in the address turns the check off again.
    """
    if scheme == "unix":
        return {}
    options: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    return options | {"ssl_check_hostname": True} if scheme.startswith("rediss") else options
