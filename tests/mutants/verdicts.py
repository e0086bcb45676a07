"""A plugin of pytest for the runs of mutants: notes by what tests fail and how long they take, a JSON object a line.

MUTANT_NOTES is the file, MUTANT_LIMIT the seconds for each test, whatever it says itself. With MUTANT_IS_THERE
the process ends at the first failure: to tidy up behind a mutant may take as long as to wait for it.
"""

import json
import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have a test that a mutant keeps waiting end soon."""
    for item in items:
        item.add_marker(pytest.mark.timeout(float(os.environ["MUTANT_LIMIT"])), append=False)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object], report: pytest.TestReport
) -> None:
    """Write down the error of a test, or of a file that cannot be collected."""
    if call.excinfo is not None:
        error = call.excinfo.type.__name__
        _note({"test": node.nodeid, "when": report.when, "error": error, "text": str(call.excinfo.value)})
        if os.environ["MUTANT_IS_THERE"]:
            os._exit(pytest.ExitCode.TESTS_FAILED if isinstance(node, pytest.Item) else pytest.ExitCode.INTERRUPTED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how long a test took."""
    if report.when == "call":
        _note({"test": report.nodeid, "seconds": report.duration})


def _note(note: dict[str, object]) -> None:
    with Path(os.environ["MUTANT_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
