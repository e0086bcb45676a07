"""A plugin of pytest for the runs of mutants: writes down by what each test fails, a JSON object a line."""

import json
import os
from pathlib import Path
from typing import Final

import pytest

TIME_LIMIT: Final = 20.0
"""Seconds for a test, whatever it says itself: without a mutant they take one or two."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have a test that a mutant keeps waiting end soon."""
    for item in items:
        item.add_marker(pytest.mark.timeout(TIME_LIMIT), append=False)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object], report: pytest.TestReport
) -> None:
    """Write down the error of a test, or of a file that cannot be collected."""
    if call.excinfo is None:
        return
    verdict = {
        "test": node.nodeid,
        "when": report.when,
        "error": call.excinfo.type.__name__,
        "text": str(call.excinfo.value),
    }
    with Path(os.environ["MUTANT_VERDICTS"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(verdict) + "\n")
