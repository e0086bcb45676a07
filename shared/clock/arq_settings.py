"""The clock's server in arq's form, for arq's own command. Only the clock imports this, and so arq."""

from collections.abc import Callable

from arq.connections import RedisSettings

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.sentinel import SentinelAddress


class _Settings(RedisSettings):
    """arq's own shows the password."""

    def __repr__(self) -> str:
        return f"RedisSettings({self.unix_socket_path or self.host})"


def redis_settings(url: str, credentials: Callable[[], str] | None = None) -> RedisSettings:
    """Return an address in arq's form. arq's own parser does not decode passwords and paths, and ignores options.

    Of sentinels arq's form has neither login nor TLS. `credentials`: is asked once, here; arq's own connections keep
    what it gives. Only arq's own command uses it; the clock's connections ask at every connect.
    """
    address = read_address(url)
    parsed = {**address.options, **({} if credentials is None else {"password": credentials()})}
    if isinstance(address, SentinelAddress):
        parsed |= {"host": list(map(tuple, address.service.hosts)), "sentinel": True, "sentinel_master": address.name}
    if isinstance(address, ClusterAddress):  # for who asks: the clock's own connections find the node
        parsed["host"], parsed["port"] = address.seeds[0]
    if "path" in parsed:
        parsed["unix_socket_path"] = parsed.pop("path")
    if "db" in parsed:
        parsed["database"] = parsed.pop("db")
    known = RedisSettings.__dataclass_fields__.keys()
    return _Settings(
        ssl=address.kind == "tls", **{option: value for option, value in parsed.items() if option in known}
    )
