"""SECURITY.md and docs/bad-input.md name tests: each of them is there, and each row names one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAMED = re.compile(r"`((?:\w+/)+test_\w+\.py)::(\w+)`")
PAGES = ("SECURITY.md", "docs/bad-input.md")


@cache
def named_in(path: str) -> frozenset[str]:
    """The names of the tests in a file below tests/."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_is_there(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [f"{path}::{name}" for path, name in named if name not in named_in(path)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_a_test(page: str) -> None:
    """A row that promises what somebody cannot do, or what becomes of an input; one that only warns need not."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| input |", "| it can", "| it cannot |"))]
    without = [row for row in rows if not NAMED.search(row)]
    assert len(rows) > 15
    assert [row for row in without if row.split("|")[2].strip()] == []


def test_what_is_named_is_no_test_by_name_alone() -> None:
    assert "test_every_promise_names_a_test" in named_in("project/test_security.py")
    assert "test_of_nobody" not in named_in("project/test_security.py")
