"""Log injection: no text of a message, an error or a name begins a line, controls a terminal or floods the log."""

import json
import re
import subprocess
import sys

import pytest

from shared.escapes import escaped
from tests.instruments.command_line import ROOT, environment
from tests.instruments.terminal import on_a_terminal

FORGED = "2026-01-01T00:00:00Z [info     ] all is well"
NASTY = rf"a\n{FORGED}\r\x1b[2J\x1b]0;title\x07\x00\u202e\ud800\x85\u2028b"
"""A text as it stands in a program: new lines, escape sequences, NUL, what turns text round, and half a character."""
SPEAKS = f"""
import logging, sys
import structlog
from shared.concurrency.session.log import Log
from shared.environment import Environment
from shared.logs import configure_logs

configure_logs(Environment(log_format=sys.argv[1], log_level="info"))
nasty = "{NASTY}"
logging.getLogger("theirs").warning("of a handler: " + nasty)
structlog.get_logger("ours").warning("handled", id=nasty, items=[nasty])
Log("queues").warning("stale", queue=nasty)
for each in (ValueError(nasty), ExceptionGroup(nasty, [KeyError(nasty)])):
    each.add_note(nasty)
    try:
        raise each
    except Exception:
        logging.getLogger("theirs").exception("failed")
"""
FLOODS = """
import logging, sys
import structlog
from shared.environment import Environment
from shared.logs import configure_logs

configure_logs(Environment(log_format=sys.argv[1], log_level="info"))
try:
    raise ValueError("x" * 5_000_000)
except ValueError:
    logging.getLogger("theirs").exception("failed")
structlog.get_logger("ours").warning("handled", id="y" * 5_000_000)
"""
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800]")


def said(program: str, log_format: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, log_format], cwd=ROOT, capture_output=True, check=True, timeout=100
    )
    return done.stderr.decode()


def test_a_json_line_is_one_line_of_ascii() -> None:
    lines = said(SPEAKS, "json").splitlines()
    assert len(lines) == 5
    assert all(line.isascii() and isinstance(json.loads(line), dict) for line in lines)


def test_no_line_of_the_console_is_forged_and_none_controls_a_terminal() -> None:
    text = said(SPEAKS, "console")
    assert not CONTROLS.search(text)
    assert "all is well" in text
    # Each line of ours begins with its time; what else there is stands behind spaces.
    assert not [line for line in text.splitlines() if line.startswith(FORGED[:10]) and "all is well" in line[:60]]
    assert [line for line in text.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT|  |$", line)] == []


def test_on_a_terminal_the_only_escape_sequences_are_our_colours() -> None:
    code, shown = on_a_terminal(["-c", SPEAKS, "auto"], environment())
    assert code == 0
    assert not re.findall(rb"\x1b(?!\[[0-9;]*m)", shown)
    assert b"\x00" not in shown


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_text_of_any_length_is_cut(log_format: str) -> None:
    text = said(FLOODS, log_format)
    assert len(text) < 200_000
    assert text.count("left out") == 2


@pytest.mark.parametrize("text", ["plain", "größe 💥", "a b", ""])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) is text


def test_other_text_is_escaped() -> None:
    assert escaped("\x1b[31m\n\u202e\ud800") == r"\x1b[31m\n\u202e\ud800"
