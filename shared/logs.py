"""Structured logs: coloured lines on a terminal, JSON lines elsewhere, always on stderr."""

import logging
import os
import sys
from io import StringIO
from typing import Final, TextIO, cast

from shared.concurrency.session.log import Log, LogLine
from shared.environment import Environment
from shared.escapes import escaped
from shared.log_context import add_fields
from shared.log_handler import PatientHandler
from shared.optional import without

# structlog would import rich, 82 modules and a tenth of a service's start, for tracebacks in colour that show the
# values of variables. Those hold secrets: no line of ours is written so. Whoever wants structlog.dev.rich_traceback
# imports rich before.
with without("rich"):
    import structlog

__all__ = ["Log", "configure_logs", "flush_logs"]

_LONGEST: Final = 32_768
"""Characters of one text in a line, about."""


def configure_logs(settings: Environment) -> None:
    """Set up this process's logs: ours, those of the libraries, and Python's warnings, in one format."""
    terminal = sys.stderr.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not terminal)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    enrich: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*enrich, _fields_of_a_delivery, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = PatientHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*enrich, _fields_of_the_engine, _fields_of_a_delivery],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_json_lines() if as_json else _console_lines(colors=terminal and _colors())),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)


def flush_logs() -> None:
    """Write out what stdout and stderr hold; into nowhere when nobody reads them: Python would end with code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _fields_of_the_engine(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A line of the engine brings its fields along; they are shown as those of our own lines."""
    record = event.get("_record")
    if record is not None and isinstance(record.msg, LogLine):
        event["event"] = record.msg.text
        event.update(record.msg.fields)
    return event


def _fields_of_a_delivery(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A line that a handler writes names what it handles, as far as the line does not say it itself."""
    add_fields(cast("dict[str, object]", event))
    return event


def _colors() -> bool:
    """Whether whoever sits at the terminal wants colours: NO_COLOR that is not empty says no (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _json_lines() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, _cut_long_texts, structlog.processors.JSONRenderer()]


def _console_lines(*, colors: bool) -> list[structlog.typing.Processor]:
    # Texts are shown as repr: a message's content may hold escape sequences, or a line that looks like one of ours.
    # Tracebacks without locals: those hold secrets.
    return [
        _cut_long_texts,
        _escape_event,
        structlog.dev.ConsoleRenderer(colors=colors, repr_native_str=True, exception_formatter=_indented_traceback),
    ]


def _cut_long_texts(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An error may have a text of a hundred megabytes, for it may hold a message: a line keeps both its ends."""
    for word, value in event.items():
        if isinstance(value, str) and len(value) > _LONGEST:
            event[word] = _cut(value)
    return event


def _cut(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {len(text) - 2 * half} left out ... {text[-half:]}"


def _escape_event(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["event"] = escaped(str(event.get("event", "")))
    return event


def _indented_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback of which no line begins as one of the log does, whatever the text of its exception is."""
    written = StringIO()
    structlog.dev.plain_traceback(written, error)
    stream.write("".join(f"\n  {escaped(line)}" for line in _cut(written.getvalue()).splitlines()))
