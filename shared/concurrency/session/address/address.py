"""Address: where the server is, asked before every connect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from shared.concurrency.session.address.options import connect_options

Kind = Literal["tcp", "tls", "socket"]

SCHEMES: Final = ("redis", "rediss", "unix")


class Endpoint(NamedTuple):
    """One server, as it is reached over a network."""

    host: str
    port: int


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

    async def locate(self) -> Endpoint | None:
        """Where the server is now; asked before every connect. None: as `options` say, always.

        :raises ServerUnavailable: when nobody knows at present.
        """

    def locate_blocking(self) -> Endpoint | None:
        """The same for a thread, which waits."""


@dataclass(frozen=True)
class FixedAddress:
    """One server that is always at the same place."""

    shown: str
    kind: Kind
    options: Mapping[str, Any] = field(repr=False)  # a password is among them

    async def locate(self) -> None:
        """Where `options` say."""

    def locate_blocking(self) -> None:
        """Where `options` say."""


def read_address(url: str) -> Address:
    """The address that a text gives: redis://, rediss:// or unix://.

    :raises ValueError: when it cannot be read; nothing of it is repeated, for it may hold a password.
    """
    try:
        return _read(url)
    except _Unreadable:
        raise
    except ValueError:
        # What urllib and redis-py say may repeat a part of a password that is taken for a port, or for an option.
        raise ValueError(
            "the address cannot be read: it is like redis://:password@host:6379/0, and a password's / : @ # ? % are "
            "written %2F %3A %40 %23 %3F %25"
        ) from None


class _Unreadable(ValueError):
    """Says what is wrong, and repeats nothing."""


def _read(url: str) -> Address:
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in SCHEMES or not url.lower().startswith(f"{parts.scheme}://"):
        raise _Unreadable(
            "the address begins with redis://, rediss:// or unix://, for example redis://localhost:6379/0"
        )
    parsed = cast("dict[str, Any]", parse_url(url))
    for word in ("connection_class", "max_connections"):  # what a pool is told
        parsed.pop(word, None)
    where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    kind: Kind = "socket" if parts.scheme == "unix" else "tls" if parts.scheme == "rediss" else "tcp"
    return FixedAddress(f"{parts.scheme}://{where}{parts.path}", kind, connect_options(parts.scheme) | parsed)
