"""Address: where the server is, asked before every connect."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.grammar import FORMS, is_listed, read_listed
from shared.concurrency.session.address.hearing import Leaving
from shared.concurrency.session.address.options import connect_options
from shared.concurrency.session.address.sentinel import SentinelAddress

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
class FixedAddress:
    """One server that is always at the same place."""

    shown: str
    kind: Kind
    options: Mapping[str, Any]

    leads_to_primary = False

    async def locate(self) -> None:
        """Where `options` say."""

    def locate_blocking(self) -> None:
        """Where `options` say."""

    def is_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # it leads to one place
        """Never."""
        return False

    async def has_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # as above
        """Never."""
        return False

    def watch(self, connection: Leaving) -> None:
        """It never is."""

    async def left(self, endpoint: Endpoint) -> None:  # noqa: ARG002  # as above
        """For ever."""
        await asyncio.Event().wait()


def read_address(url: str) -> Address:
    """The address that a text gives: redis://, rediss:// or unix://, or a list of sentinels.

    :raises ValueError: when it cannot be read; nothing of it is repeated, for it may hold a password.
    """
    if is_listed(url):
        listed = read_listed(url)
        if listed.topology == "sentinel":
            return SentinelAddress.of(listed, connect_options(listed.scheme))
        raise ValueError(f"a Cluster cannot be used yet: name one of its nodes, or sentinels: {FORMS['sentinel']}")
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in SCHEMES or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError(
            "the address begins with redis://, rediss:// or unix://, for example redis://localhost:6379/0, or lists "
            f"sentinels: {FORMS['sentinel']}"
        )
    parsed = cast("dict[str, Any]", parse_url(url))
    for word in ("connection_class", "max_connections"):  # what a pool is told
        parsed.pop(word, None)
    where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    kind: Kind = "socket" if parts.scheme == "unix" else "tls" if parts.scheme == "rediss" else "tcp"
    return FixedAddress(f"{parts.scheme}://{where}{parts.path}", kind, connect_options(parts.scheme) | parsed)
