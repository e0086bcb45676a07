"""The stored form of the clock's jobs: arq's jobs and arq's keys, written as JSON."""

import json
from typing import Any

from arq.connections import RedisSettings

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress


def clock_queue(queue: str) -> str:
    """Return the name of arq's queue for a pipeline's clock."""
    return f"{{{queue}}}:clock"


def redis_settings(url: str) -> RedisSettings:
    """Return an address in arq's form. arq's own parser does not decode passwords and paths, and ignores options."""
    address = read_address(url)
    parsed = dict(address.options)
    if isinstance(address, ClusterAddress):  # for who asks: the clock's own connections find the node
        parsed["host"], parsed["port"] = address.seeds[0]
    if "path" in parsed:
        parsed["unix_socket_path"] = parsed.pop("path")
    if "db" in parsed:
        parsed["database"] = parsed.pop("db")
    known = RedisSettings.__dataclass_fields__.keys()
    return RedisSettings(
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
