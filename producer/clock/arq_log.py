"""arq's own lines, as ours: a text that never changes, with fields. What there may be many a second of is at debug."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import arq.worker
from arq.connections import log_redis_info
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.concurrency.session.log import LogLine


class _Line(NamedTuple):
    text: str
    fields: tuple[str, ...]
    """The names of arq's arguments; empty for one that says nothing more."""
    level: int | None = None
    """None for arq's own."""


_LINES: Final = {
    "%6.2fs → %s(%s)%s": _Line("a job begins", ("late_seconds", "job", "", "remarks"), logging.DEBUG),
    "%6.2fs ← %s ● %s": _Line("a job has ended", ("seconds", "job", "result"), logging.DEBUG),
    "%6.2fs ↻ %s retrying job in %0.2fs": _Line("a job will be begun again", ("seconds", "job", "again_in")),
    "%6.2fs ↻ %s cancelled, will be run again": _Line(
        "a job was cancelled, and will be begun again", ("seconds", "job")
    ),
    "%6.2fs ⊘ %s aborted": _Line("a job was aborted", ("seconds", "job")),
    "%6.2fs ⊘ %s:%s aborted before start": _Line("a job was aborted before it began", ("seconds", "job", "function")),
    "%6.2fs ! %s failed, %s: %s": _Line("a job failed", ("seconds", "job", "kind", "error")),
    "%6.2fs ! %s max retries %d exceeded": _Line("a job was begun too often", ("seconds", "job", "most")),
    "Starting worker for %d functions: %s": _Line("arq's worker starts", ("", "functions"), logging.DEBUG),
    "shutdown on %s ◆ %d jobs complete ◆ %d failed ◆ %d retries ◆ %d ongoing to cancel": _Line(
        "arq's worker has ended", ("", "complete", "failed", "retried", "cancelled"), logging.DEBUG
    ),
    "job %s already running elsewhere": _Line("another clock runs the job", ("job",)),
    "multi-exec error, job %s already started elsewhere": _Line("another clock has begun the job", ("job",)),
    "recording health: %s": _Line("arq counts its jobs", ("counts",), logging.DEBUG),
    "job %s expired": _Line("a job has expired", ("job",)),
    "job %s, function %r not found": _Line("nothing does a job of this name", ("job", "function")),
    "deserializing job %s failed": _Line("a job cannot be read", ("job",)),
}
"""arq's text -> ours; a text that is not here stays as arq writes it. A test compares them with arq's source.

What a job was called with is left out: it may be the body of a message, and no line holds that.
"""

_OF_THE_SERVER: Final = "redis_version="
"""How arq's line about its server begins: words with values, which the text says itself."""


async def log_server(redis: Redis, log_func: Callable[[str], Any]) -> None:
    """Stands in for arq's line about its server, which ends the clock where INFO or DBSIZE is forbidden."""
    with contextlib.suppress(ResponseError):
        await log_redis_info(redis, log_func)


arq.worker.log_redis_info = log_server  # type: ignore[attr-defined]  # it offers no other way


def as_ours(record: logging.LogRecord) -> bool:
    """Rewrite a record of arq; whether it is written, by its level as it is now. A filter of arq's logger."""
    text = str(record.msg)
    if text.startswith(_OF_THE_SERVER):
        about = dict(word.split("=", 1) for word in text.split() if "=" in word)
        return _rewritten(record, "arq has reached its server", about, logging.DEBUG)
    line = _LINES.get(text)
    if line is None or not isinstance(record.args, tuple) or len(record.args) != len(line.fields):
        return True
    said = zip(line.fields, record.args, strict=True)
    fields = {
        word: round(value, 3) if isinstance(value, float) else value for word, value in said if word and value != ""
    }
    return _rewritten(record, line.text, fields, line.level)


def _rewritten(record: logging.LogRecord, text: str, fields: Mapping[str, object], level: int | None) -> bool:
    record.msg, record.args = LogLine(text, dict(fields)), ()
    if level is not None:
        record.levelno, record.levelname = level, logging.getLevelName(level)
    return logging.getLogger(record.name).isEnabledFor(record.levelno)
