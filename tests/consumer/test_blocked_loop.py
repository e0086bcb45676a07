"""A handler that blocks the event loop is reported while it does, with its name, and when it is over, with how long."""

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumer.rules.handler import Handler
from consumer.rules.rules import Rules
from consumer.worker.blocked_loop import BLOCKED_SECONDS, BlockedLoop
from shared.concurrency.session.log import LogLine
from shared.local.parent_death import tied
from tests.instruments import handlers
from tests.instruments.handlers import block, order
from tests.instruments.waiting import until

pytestmark = [pytest.mark.timing, pytest.mark.measured]

Logs = list[Any]


class _Keep(logging.Handler):
    """Keeps what is said, with its fields."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self.logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, LogLine):
            self.logs.append({"event": record.msg.text, "log_level": record.levelname.lower(), **record.msg.fields})


@pytest.fixture
def logs() -> Iterator[Logs]:
    logs: Logs = []
    keep, logger = _Keep(logs), logging.getLogger("weir.consumer")
    logger.addHandler(keep)
    yield logs
    logger.removeHandler(keep)


async def two(logs: Logs) -> tuple[Any, Any]:
    async def look() -> Logs:
        return [said for said in logs if "event loop" in said["event"]]

    first, second = await until(look, lambda seen: len(seen) == 2)
    return first, second


class _Delivery:
    """All that the blocking handler asks of a delivery."""

    def __init__(self, path: Path) -> None:
        self.item = order(str(path))


async def blocked(path: Path) -> None:
    await block(_Delivery(path), None)  # type: ignore[arg-type]


async def test_the_handler_is_named_while_it_blocks(logs: Logs, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    # As one who looks at the log and puts an end to it: by then it was reported.
    watcher = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", f"import time, pathlib\ntime.sleep(1.2)\npathlib.Path({str(go_on)!r}).touch()"],
        preexec_fn=tied(),  # noqa: PLW1509
    )
    with BlockedLoop([Handler(block, "loop", Rules())]):
        await blocked(go_on)
        began, ended = await two(logs)
    watcher.wait()
    assert began["event"] == "a handler blocks the event loop"
    assert began["handler"] == ended["handler"] == f"{handlers.__name__}:block"
    assert BLOCKED_SECONDS <= began["seconds"] <= BLOCKED_SECONDS + 0.6
    assert re.search(r"(handlers|pathlib|_local|genericpath)\S*\.py:\d+$", began["where"])
    assert ended["event"] == "the event loop turns again"
    assert ended["seconds"] >= 1
    assert {began["log_level"], ended["log_level"]} == {"warning"}


async def test_what_is_no_handler_is_told_without_a_name(logs: Logs) -> None:
    with BlockedLoop([Handler(block, "loop", Rules())]):
        time.sleep(BLOCKED_SECONDS + 0.4)  # noqa: ASYNC251
        began, ended = await two(logs)
    assert began["event"] == "the event loop is blocked"
    assert "handler" not in began
    assert Path(__file__).name in began["where"]
    assert ended["seconds"] >= BLOCKED_SECONDS


async def test_code_that_keeps_the_interpreter_is_told_when_it_lets_go(logs: Logs) -> None:
    numbers = list(range(3_000_000))

    async def sort() -> None:
        until_then = time.monotonic() + 2 * BLOCKED_SECONDS
        while time.monotonic() < until_then:
            sorted(numbers, key=lambda number: -number)

    with BlockedLoop([Handler(sort, "loop", Rules())]):
        await sort()
        began, _ = await two(logs)
    assert began["handler"].endswith("sort")


async def test_a_loop_that_turns_is_not_reported(logs: Logs) -> None:
    with BlockedLoop([]):
        ended = time.monotonic() + 3 * BLOCKED_SECONDS
        while time.monotonic() < ended:
            time.sleep(BLOCKED_SECONDS / 5)  # noqa: ASYNC251
            await asyncio.sleep(0)
    assert not logs


def test_a_process_that_was_stopped_reports_nothing() -> None:
    program = (
        "import asyncio\nfrom consumer.worker.blocked_loop import BlockedLoop\n"
        "async def main():\n    with BlockedLoop([]):\n"
        "        print('ready', flush=True)\n        await asyncio.to_thread(input)\n"
        "        await asyncio.sleep(1)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent.parent.parent, preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate("\n", timeout=90)
    assert said == ""
    assert process.returncode == 0


async def test_the_thread_ends_with_its_block() -> None:
    import threading  # noqa: PLC0415

    async def watching() -> bool:
        return any(thread.name == "blocked-loop" for thread in threading.enumerate())

    with BlockedLoop([]):
        assert await watching()
    await until(watching, lambda alive: not alive)
