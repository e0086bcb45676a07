"""What tests rely on where a machine may be slow: measuring again, and notifications without looks beside them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.concurrency import Queue, Session
from tests.instruments import inside
from tests.instruments.waiting import until

ROOT: Final = Path(__file__).resolve().parent.parent.parent
HOOKS: Final = "from tests.instruments.measuring import pytest_report_teststatus, pytest_runtest_protocol\n"
TESTS: Final = """
from pathlib import Path

import pytest

pytestmark = pytest.mark.measured


def times(name):
    with Path(__file__).with_name(name).open("a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())


def test_that_passes_at_last():
    assert times("last") == 3


def test_that_fails():
    assert times("never") == 4


def test_that_passes():
    assert times("first") == 1
"""


@pytest.mark.slow
def test_what_is_measured_fails_when_it_fails_three_times(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_measured.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = measured\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert "1 failed, 2 passed, 4 measured again" in done.stdout, done.stdout + done.stderr
    assert {word: len((tmp_path / word).read_text()) for word in ("first", "last", "never")} == {
        "first": 1, "last": 3, "never": 3,
    }  # fmt: skip


@pytest.mark.usefixtures("only_notified")
async def test_without_looks_only_a_notification_wakes(
    queue: Queue[int], other: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Queue(other, queue.name, int)
    await there.statistics()
    monkeypatch.setattr(inside.participant_of(other, queue.name), "receive", lambda *_: None)  # as if none arrived
    getting = asyncio.create_task(there.get())
    await until(lambda: asyncio.sleep(0, inside.is_idle(other, queue.name)), bool)
    await queue.put(1)
    await asyncio.wait({getting}, timeout=1.3)  # a look of insurance would be over
    assert not getting.done()
    getting.cancel()
    await asyncio.wait({getting})
