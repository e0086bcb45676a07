import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instruments.command_line import environment
from tests.instruments.terminal import on_a_terminal

ROOT = Path(__file__).resolve().parent.parent.parent
SPEAKS = """
import asyncio, logging, sys, warnings
import structlog
from shared.concurrency.session.log import Log
from shared.logs import configure_logs
from shared.environment import Environment

configure_logs(Environment(log_format=sys.argv[1], log_level="info"))
log = structlog.get_logger("ours")
log.debug("unheard")
log.info("counted", words=3, text="\\x1b[31mred\\nline", word="\\x1b[31mred")
logging.getLogger("theirs").warning("a %s thing", "strange")
Log("queues").warning("recovered", queue="numbers", count=3)
warnings.warn("beware", UserWarning, stacklevel=1)
password = "hunter2-in-a-local"
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def said(log_format: str) -> str:
    """What a process logs on stderr; it has nothing to say on stdout."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAKS, log_format], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == ""
    return done.stderr


def test_without_a_terminal_every_line_is_a_json_object() -> None:
    ours, theirs, engine, warning, failure = (json.loads(line) for line in said("auto").splitlines())
    assert ours.pop("timestamp").endswith("Z")
    assert (ours.pop("text"), ours.pop("word")) == ("\x1b[31mred\nline", "\x1b[31mred")
    assert ours == {"event": "counted", "level": "info", "logger": "ours", "words": 3}
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("a strange thing", "warning", "theirs")
    assert (engine["event"], engine["queue"], engine["count"]) == ("recovered", "numbers", 3)
    assert (engine["level"], engine["logger"]) == ("warning", "weir.queues")
    assert "beware" in warning["event"]
    assert "ZeroDivisionError" in failure["exception"]


def test_console_lines_show_no_escape_sequences_of_a_text() -> None:
    lines = said("console")
    assert r"\x1b[31mred\nline" in lines
    assert "\x1b" not in lines
    assert "unheard" not in lines


def test_tracebacks_hold_no_local_variables() -> None:
    for log_format in ("json", "console"):
        assert "hunter2-in-a-local" not in said(log_format).replace('password = "hunter2-in-a-local"', "")


@pytest.mark.parametrize(
    "variables,has_colors",
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["usual", "empty", "no color", "dumb"],
)
def test_on_a_terminal_lines_have_colours_where_they_are_wanted(variables: dict[str, str], has_colors: bool) -> None:  # noqa: FBT001
    code, shown = on_a_terminal(["-c", SPEAKS, "auto"], environment(**variables))
    assert code == 0
    assert b"counted" in shown
    assert (b"\x1b[" in shown) == has_colors
