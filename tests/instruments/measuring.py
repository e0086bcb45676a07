"""Tests marked `measured` run up to three times, and one that passes is enough.

A bound on a measured time says nothing of the moment when the machine was busy; a defect fails all three. They are
marked `timing` too, so that few others run beside them.
"""

from typing import Final

import pytest
from _pytest.runner import runtestprotocol

TIMES: Final = 3
AGAIN: Final = "again"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail at once where one would run beside all others."""
    if item.get_closest_marker("measured") and not item.get_closest_marker("timing"):
        pytest.fail("this test is marked `measured`: mark it `timing`, too")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run it until it passes; what failed before is reported as measured again, and counts as no failure."""
    if item.get_closest_marker("measured") is None or not isinstance(item, pytest.Function):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for left in reversed(range(TIMES)):
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.failed]
        is_last = not left or not failed
        if not is_last:
            for report in failed:
                vars(report)["outcome"] = AGAIN  # what pytest_report_teststatus knows may be of one's own
        for report in reports if is_last else failed:
            item.ihook.pytest_runtest_logreport(report=report)
        if is_last:
            break
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """How the terminal shows it: counted, and named with -v."""
    return ("measured again", "A", "AGAIN") if str(report.outcome) == AGAIN else None
