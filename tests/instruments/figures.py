"""Figures: what tests tried, counted over all of them and said once at the end, to be published."""

from collections import Counter
from typing import Final

import pytest

FIGURES: Final[Counter[str]] = Counter()


def count(what: str, number: int = 1) -> None:
    """Count something that was tried, or came of it."""
    FIGURES[what] += number


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a process of pytest-xdist give its own to the one that reports."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = dict(FIGURES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Add what such a process has counted."""
    FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say them, where anything was counted."""
    if FIGURES:
        said = ", ".join(f"{number:,} {what}" for what, number in sorted(FIGURES.items()))
        terminalreporter.write_line(f"figures: {said}")
