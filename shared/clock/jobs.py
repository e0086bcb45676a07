"""The stored form of the clock's jobs: arq's jobs and arq's keys, written as JSON."""

import json
from typing import Any, Final

JOB_KEY: Final = "arq:job:"
RESULT_KEY: Final = "arq:result:"
RUNNING_KEY: Final = "arq:in-progress:"
TRIES_KEY: Final = "arq:retry:"
"""How arq's keys begin, which end with the id of the job. Not imported from arq, which is slow: only the clock needs
more of it. A test compares them with arq's."""


def clock_queue(queue: str) -> str:
    """Return the name of arq's queue for a pipeline's clock."""
    return f"{{{queue}}}:clock"


def new_job(function: str, arguments: list[Any], put_ms: int) -> bytes:
    """Return a job, as arq stores it until a clock begins it. `put_ms`: when it was put there."""
    return encode({"t": None, "f": function, "a": arguments, "k": {}, "et": put_ms})


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
    except (ValueError, RecursionError):
        raise ValueError(
            "not JSON: put jobs with job_serializer=shared.clock.jobs.encode; a pickle is not loaded"
        ) from None
    return job
