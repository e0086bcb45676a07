"""The stored form of the clock's jobs: arq's jobs and arq's keys, written as JSON."""

import json
from collections.abc import Callable
from typing import Any

from arq.connections import RedisSettings

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.sentinel import SentinelAddress


def clock_queue(queue: str) -> str:
    """Return the name of arq's queue for a pipeline's clock."""
    return f"{{{queue}}}:clock"


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


def encode(job: dict[str, Any]) -> bytes:
    """Write a job as JSON, because arq would pickle it; the exception of a failed job becomes text."""
    return json.dumps(job, default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, BaseException):
        return repr(value)
    raise TypeError(f"the arguments and the result of a job must be JSON values, not {type(value).__name__}")


def decode(stored: bytes) -> dict[str, Any]:
    """Read a job from JSON; a pickle is refused with a ValueError, and never loaded."""
    try:
        job: dict[str, Any] = json.loads(stored)
    except ValueError:
        raise ValueError(
            "not JSON: put jobs with job_serializer=shared.clock.jobs.encode; a pickle is not loaded"
        ) from None
    return job
