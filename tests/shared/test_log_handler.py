"""A pipe that nobody reads holds up nobody who logs."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from shared.log_handler import PatientHandler
from tests.shared.test_logs import ROOT

MANY = 20_000
LOGS = f"""
import logging
from shared.environment import Environment
from shared.logs import configure_logs

configure_logs(Environment(log_format="json", log_level="info"))
for number in range({MANY}):
    logging.getLogger("ours").info("number %d", number)
print("done", flush=True)
input()
logging.getLogger("ours").info("at the end")
"""
READS = """
import os
print(os.read(0, 1), flush=True)
while os.read(0, 1 << 16):
    pass
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: where to read, and where to write."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("ours", logging.INFO, "", 0, text, None, None)


def read(reader: int) -> str:
    """All that is in the pipe."""
    os.set_blocking(reader, False)
    parts = []
    try:
        while part := os.read(reader, 1 << 16):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts).decode()


def test_a_process_whose_log_nobody_reads_goes_on_and_says_what_was_dropped() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOGS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == b"done\n"
            first = [json.loads(process.stderr.readline())["event"] for _ in range(100)]
            _, err = process.communicate(b"\n", timeout=90)
        finally:
            process.kill()
    lines = first + [json.loads(line)["event"] for line in err.splitlines()]
    *kept, dropped, last = lines
    assert kept == [f"number {number}" for number in range(len(kept))]
    assert dropped == f"{MANY - len(kept)} lines of the log were dropped: nobody read them in time"
    assert last == "at the end"


def test_a_line_that_is_cut_leaves_the_next_one_whole(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    handler = PatientHandler(stream)
    handler.handle(record("x" * 1_000_000))
    handler.handle(record("dropped"))
    begun = read(reader)
    assert begun == "x" * len(begun)
    handler.handle(record("whole"))
    assert read(reader).splitlines() == [
        "", "2 lines of the log were dropped: nobody read them in time", "whole",
    ]  # fmt: skip


def test_a_reader_that_is_only_behind_gets_all(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    with subprocess.Popen([sys.executable, "-c", READS], stdin=reader, stdout=subprocess.PIPE) as slow:
        assert slow.stdout is not None
        handler = PatientHandler(stream)
        handler.handle(record("begins"))
        slow.stdout.readline()
        for number in range(5000):
            handler.handle(record(f"{number} {'x' * 100}"))
        assert handler._dropped == 0
        stream.close()
        assert slow.wait(90) == 0


def test_a_file_is_written_to_as_ever(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    with path.open("w") as stream:
        PatientHandler(stream).handle(record("a line"))
    assert path.read_text() == "a line\n"
