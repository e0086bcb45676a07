"""arq's own lines, as ours: a text that never changes, with fields. What there may be many a second of is at debug."""

import logging
from typing import Final, NamedTuple

from shared.concurrency.session.log import LogLine


class _Line(NamedTuple):
    text: str
    fields: tuple[str, ...]
    """The names of arq's arguments; empty for one that says nothing more."""
    level: int | None = None
    """None for arq's own."""


_LINES: Final = {
    "%6.2fs → %s(%s)%s": _Line("a job begins", ("late_seconds", "job", "arguments", "remarks"), logging.DEBUG),
    "%6.2fs ← %s ● %s": _Line("a job has ended", ("seconds", "job", "result"), logging.DEBUG),
    "%6.2fs ↻ %s retrying job in %0.2fs": _Line("a job will be begun again", ("seconds", "job", "again_in")),
    "%6.2fs ↻ %s cancelled, will be run again": _Line(
        "a job was cancelled, and will be begun again", ("seconds", "job")
    ),
    "%6.2fs ⊘ %s aborted": _Line("a job was aborted", ("seconds", "job")),
    "%6.2fs ! %s failed, %s: %s": _Line("a job failed", ("seconds", "job", "kind", "error")),
    "%6.2fs ! %s max retries %d exceeded": _Line("a job was begun too often", ("seconds", "job", "most")),
    "Starting worker for %d functions: %s": _Line("arq's worker starts", ("", "functions"), logging.DEBUG),
    "recording health: %s": _Line("arq counts its jobs", ("counts",), logging.DEBUG),
    "job %s expired": _Line("a job has expired", ("job",)),
    "job %s, function %r not found": _Line("nothing does a job of this name", ("job", "function")),
    "deserializing job %s failed": _Line("a job cannot be read", ("job",)),
}
"""arq's text -> ours; a text that is not here stays as arq writes it. A test compares them with arq's source."""


def as_ours(record: logging.LogRecord) -> bool:
    """Rewrite a record of arq; whether it is written, by its level as it is now. A filter of arq's logger."""
    line = _LINES.get(str(record.msg))
    if line is None or not isinstance(record.args, tuple) or len(record.args) != len(line.fields):
        return True
    said = zip(line.fields, record.args, strict=True)
    fields = {
        word: round(value, 3) if isinstance(value, float) else value for word, value in said if word and value != ""
    }
    record.msg, record.args = LogLine(line.text, fields), ()
    if line.level is not None:
        record.levelno, record.levelname = line.level, logging.getLevelName(line.level)
    return logging.getLogger(record.name).isEnabledFor(record.levelno)
