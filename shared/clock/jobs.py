"""How the clock's jobs stand on its server: arq's jobs and arq's keys, written as JSON."""

import json
from typing import Any

from arq.connections import RedisSettings
from redis.asyncio.connection import SSLConnection, parse_url

from shared.concurrency.session.address import connect_options


def clock_queue(queue: str) -> str:
    """The name of arq's queue for a pipeline's clock."""
    return f"{{{queue}}}:clock"


def redis_settings(url: str) -> RedisSettings:
    """An address as arq wants it told. Its own reading leaves %-signs in passwords and paths, and options aside."""
    told: dict[str, Any] = connect_options(url) | dict(parse_url(url))
    encrypted = told.pop("connection_class", None) is SSLConnection
    if "path" in told:
        told["unix_socket_path"] = told.pop("path")
    if "db" in told:
        told["database"] = told.pop("db")
    known = RedisSettings.__dataclass_fields__.keys()
    return RedisSettings(ssl=encrypted, **{option: value for option, value in told.items() if option in known})


def encode(job: dict[str, Any]) -> bytes:
    """JSON, for arq would write pickles; the exception of a job that failed is written as text."""
    return json.dumps(job, default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, BaseException):
        return repr(value)
    raise TypeError(f"a job's arguments and its result are what JSON can hold, not {type(value).__name__}")


def decode(stored: bytes) -> dict[str, Any]:
    """JSON; a pickle is refused with a ValueError, and never loaded."""
    try:
        job: dict[str, Any] = json.loads(stored)
    except ValueError:
        raise ValueError(
            "no JSON: put jobs with job_serializer=shared.clock.jobs.encode; a pickle is not loaded"
        ) from None
    return job
