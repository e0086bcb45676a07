"""arq's lines are rendered as ours: no text of arq's is in the table that it does not write any more."""

import inspect
import logging
import re
from collections.abc import Iterator

import arq.connections
import arq.worker
import pytest

from producer.clock.arq_log import _LINES, as_ours
from shared.concurrency.session.log import LogLine


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """arq's, at info."""
    logger = logging.getLogger("arq.worker")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(before)


@pytest.mark.parametrize("text", _LINES)
def test_arq_writes_each_text_with_as_many_arguments(text: str) -> None:
    assert repr(text)[1:-1] in inspect.getsource(arq.worker)
    assert len(re.findall(r"%(?!%)", text)) == len(_LINES[text].fields)


def record(logger: logging.Logger, text: str, *arguments: object) -> logging.LogRecord:
    return logger.makeRecord(logger.name, logging.INFO, "", 0, text, arguments, None)


def test_a_line_has_fields(logger: logging.Logger) -> None:
    failed = record(logger, "%6.2fs ! %s failed, %s: %s", 0.12345, "the-job:name", "KeyError", "'x'")
    assert as_ours(failed)
    assert isinstance(failed.msg, LogLine)
    assert (failed.msg.text, failed.levelno) == ("a job failed", logging.INFO)
    assert failed.msg.fields == {"seconds": 0.123, "job": "the-job:name", "kind": "KeyError", "error": "'x'"}


def test_what_there_are_many_of_is_at_debug(logger: logging.Logger) -> None:
    ended = record(logger, "%6.2fs ← %s ● %s", 0.5, "the-job:name", "")
    assert not as_ours(ended)
    logger.setLevel(logging.DEBUG)
    ended = record(logger, "%6.2fs ← %s ● %s", 0.5, "the-job:name", "")
    assert as_ours(ended)
    assert ended.levelname == "DEBUG"
    assert isinstance(ended.msg, LogLine)
    assert ended.msg.fields == {"seconds": 0.5, "job": "the-job:name"}


def test_no_line_holds_what_a_job_was_called_with(logger: logging.Logger) -> None:
    logger.setLevel(logging.DEBUG)
    begun = record(logger, "%6.2fs → %s(%s)%s", 0.5, "message:jobs:id:put_message", "'Errand', '{\"secret\":1}'", "")
    assert as_ours(begun)
    assert "secret" not in begun.getMessage()
    assert "message:jobs:id:put_message" in begun.getMessage()


def test_what_arq_says_of_its_server_is_a_line_with_fields(logger: logging.Logger) -> None:
    assert "f'redis_version=" in inspect.getsource(arq.connections)
    logger.setLevel(logging.DEBUG)
    said = record(logger, "redis_version=7.2.4 mem_usage=2.09M clients_connected=6 db_keys=20")
    assert as_ours(said)
    assert isinstance(said.msg, LogLine)
    assert (said.msg.text, said.levelname) == ("arq has reached its server", "DEBUG")
    assert said.msg.fields["mem_usage"] == "2.09M"


def test_another_line_stays_as_it_is(logger: logging.Logger) -> None:
    other = record(logger, "something %s", "else")
    assert as_ours(other)
    assert other.getMessage() == "something else"
