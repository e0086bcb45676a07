"""The grammar of addresses that list several servers: sentinels, or nodes of a Cluster.

It is docket's and Prefect's, so that one address serves them and us. A text that does not fit is refused with the
grammar, and nothing of the text is repeated: it may hold a password, and a raw `/` or `:` in one shifts what is read.
"""

import re
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import unquote

from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.address.query import read_options

Topology = Literal["sentinel", "cluster"]

FORMS: Final[dict[Topology, str]] = {
    "sentinel": "redis+sentinel://[user:password@]host1[:port],host2/service[/db]",
    "cluster": "redis+cluster://[user:password@]host1[:port],host2",
}
ESCAPES: Final = "a password's / : @ # ? % are written %2F %3A %40 %23 %3F %25"
_PORTS: Final[dict[Topology, int]] = {"sentinel": 26379, "cluster": 6379}
_LISTED: Final = re.compile(r"(rediss?)\+(sentinel|cluster)://(.*)", re.IGNORECASE | re.DOTALL)
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s/@:?#\[\],%]+))(?::([0-9]{1,5}))?")
_PATHS: Final[dict[Topology, re.Pattern[str]]] = {
    "sentinel": re.compile(r"([^\s/]+)(?:/([0-9]*))?"),
    "cluster": re.compile(r"()(0?)"),
}
_OF_SENTINELS: Final = "sentinel_"


class ListedAddress(NamedTuple):
    """An address that lists several servers."""

    topology: Topology
    is_encrypted: bool
    hosts: tuple[Endpoint, ...]
    service: str
    """What the sentinels call the servers that they watch; empty for a Cluster."""
    options: dict[str, Any]
    """redis-py's, for each connection to a server that holds data: user, password and database among them."""
    sentinel_login: dict[str, str]
    """User and password of the sentinels, which have their own."""

    @property
    def scheme(self) -> str:
        """The scheme of a connection to one of its servers."""
        return "rediss" if self.is_encrypted else "redis"

    @property
    def shown(self) -> str:
        """The address for people: nothing of it is secret."""
        database = f"/{self.options['db']}" if self.options.get("db") else ""
        hosts = ",".join(map(str, self.hosts))
        return f"{self.scheme}+{self.topology}://{hosts}{f'/{self.service}' if self.service else ''}{database}"


def is_listed(url: object) -> bool:
    """Whether the scheme of an address says that it lists several servers."""
    return isinstance(url, str) and _LISTED.fullmatch(url) is not None


def read_listed(url: str) -> ListedAddress:
    """The address that a text gives which `is_listed`.

    :raises ValueError: when it cannot be read; nothing of it is repeated.
    """
    whole = _LISTED.fullmatch(url)
    if whole is None:
        raise ValueError(f"the address begins like {FORMS['sentinel']} or {FORMS['cluster']}")
    scheme, topology = whole[1].lower(), cast("Topology", whole[2].lower())
    before, _, query = whole[3].partition("?")
    where, _, path = before.partition("/")
    login, _, listed = where.rpartition("@")
    hosts = [_HOST.fullmatch(host) for host in listed.split(",")]
    named = _PATHS[topology].fullmatch(path)
    if "@" in login or "@" in query or "#" in whole[3] or named is None or not all(hosts):
        raise _unreadable(topology)
    ports = [int(host[3] or _PORTS[topology]) for host in hosts if host is not None]
    if not all(0 < port < 1 << 16 for port in ports):
        raise _unreadable(topology)
    names = [host[1] or host[2] for host in hosts if host is not None]
    options, sentinel_login = _options(topology, query)
    return ListedAddress(
        topology,
        scheme == "rediss",
        tuple(map(Endpoint, names, ports)),
        unquote(named[1]),
        _parsed(scheme, login, named[2] or "", options),
        sentinel_login,
    )


def _options(topology: Topology, query: str) -> tuple[str, dict[str, str]]:
    """The options for redis-py as they are written, and the login of the sentinels."""
    words = [word for word in query.split("&") if word]
    of_sentinels = [word for word in words if word.startswith(_OF_SENTINELS)]
    login: dict[str, str] = {}
    for word in of_sentinels:
        name, _, value = word.removeprefix(_OF_SENTINELS).partition("=")
        if topology != "sentinel" or name not in ("username", "password") or not value:
            raise ValueError(
                "the sentinels' own options are sentinel_username=... and sentinel_password=..., in an address like "
                f"{FORMS['sentinel']}?sentinel_password=..."
            )
        login[name] = unquote(value)
    if not all("=" in word for word in words):
        raise _unreadable(topology)
    return "&".join(word for word in words if word not in of_sentinels), login


def _parsed(scheme: str, login: str, database: str, options: str) -> dict[str, Any]:
    parsed = read_options(options, scheme)
    if database:
        parsed.setdefault("db", int(database))
    user, _, password = login.partition(":")
    given = {"username": unquote(user), "password": unquote(password)}
    return parsed | {word: value for word, value in given.items() if value}


def _unreadable(topology: Topology) -> ValueError:
    return ValueError(f"the address is no list like {FORMS[topology]} ({ESCAPES})")
