"""Address: where the server is, asked before every connect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote

from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.credentials import Credentials, identified
from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.grammar import is_listed, read_listed
from shared.concurrency.session.address.hearing import Leaving
from shared.concurrency.session.address.options import connect_options
from shared.concurrency.session.address.query import read_options
from shared.concurrency.session.address.sentinel import SentinelAddress
from shared.concurrency.session.address.steady import Steady
from shared.concurrency.session.address.text import split_text

SCHEMES: Final = ("redis", "rediss", "unix")


class Address(Protocol):
    """Where a server is, and how a connection to it is made."""

    @property
    def shown(self) -> str:
        """The address for people: nothing of it is secret."""

    @property
    def kind(self) -> Kind:
        """Which kind of connection leads there."""

    @property
    def options(self) -> Mapping[str, Any]:
        """redis-py's options for each connection, keepalive and the check of certificates among them."""

    @property
    def leads_to_primary(self) -> bool:
        """Whether somebody knows which server leads: then a replica is left, and the address is asked again."""

    async def locate(self) -> Endpoint | None:
        """Where the server is now; asked before every connect. None: as `options` say, always.

        :raises redis.exceptions.ConnectionError: when nobody knows at present.
        """

    def locate_blocking(self) -> Endpoint | None:
        """The same for a thread, which waits."""

    def is_left(self, endpoint: Endpoint) -> bool:
        """Whether the address is known to lead elsewhere than there."""

    async def has_left(self, endpoint: Endpoint) -> bool:
        """The same; asks where nobody has for a while."""

    def watch(self, connection: Leaving) -> None:
        """Have a connection look whether it is left, whenever that may be so."""

    async def left(self, endpoint: Endpoint) -> None:
        """Wait until the address leads elsewhere than there."""


@dataclass(frozen=True)
class FixedAddress(Steady):
    """One server that is always at the same place."""

    shown: str
    kind: Kind
    options: Mapping[str, Any] = field(repr=False)
    """A password among them."""

    async def locate(self) -> None:
        """Where `options` say."""

    def locate_blocking(self) -> None:
        """Where `options` say."""


def read_address(url: str, credentials: Credentials | None = None) -> Address:
    """The address that a text gives: redis://, rediss:// or unix://, or a list of sentinels or nodes of a Cluster.

    `credentials`: what is asked for the password at every connect.

    :raises ValueError: when it cannot be read; nothing of it is repeated, for it may hold a password. TypeError: when
        `credentials` is no function.
    """
    if is_listed(url):
        listed = read_listed(url)
        listed = listed._replace(options=identified(listed.options, credentials))
        if listed.topology == "cluster":
            return ClusterAddress.of(listed)
        return SentinelAddress.of(listed, connect_options(listed.scheme))
    parts = split_text(url, SCHEMES)
    options = identified(read_options(parts.query, parts.scheme) | _login(parts), credentials)
    if parts.scheme == "unix":
        if parts.netloc.rpartition("@")[2] or parts.path in ("", "/"):
            raise ValueError("the address must name a socket, for example unix:///run/redis.sock")
        return FixedAddress(f"unix://{parts.path}", "socket", options | {"path": unquote(parts.path)})
    if not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError("the address must end in the number of a database, for example redis://localhost:6379/0")
    if parts.path.strip("/"):
        options.setdefault("db", int(parts.path[1:]))
    options |= {"host": unquote(parts.hostname)} if parts.hostname else {}
    options |= {"port": parts.port} if parts.port else {}
    where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    kind: Kind = "tls" if parts.scheme == "rediss" else "tcp"
    return FixedAddress(f"{parts.scheme}://{where}{parts.path}", kind, connect_options(parts.scheme) | options)


def _login(parts: SplitResult) -> dict[str, str]:
    """User and password, where the address has them."""
    found = {"username": parts.username, "password": parts.password}
    return {word: unquote(text) for word, text in found.items() if text}
