"""SECURITY.md and docs/bad-input.md name tests: each of them is there, and each row names one."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

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
def test_every_row_names_a_test_and_what_somebody_can_do_may_give_a_reason(page: str) -> None:
    tables = list(tables_of((ROOT / page).read_text(encoding="utf-8")))
    assert len(tables) > 3
    assert sum(len(rows) for _, rows in tables) > 30
    assert [row for head, rows in tables for row in rows if not is_held(head, row)] == []


def tables_of(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Each table of a page: what its first column is called, and the cells of its rows."""
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        yield head[0], rows


def is_held(head: str, row: list[str]) -> bool:
    """Whether a row says something, and its last cell a test of it; a reason is enough for what somebody can do."""
    *said, shown = row
    has_reason = head == "it can" and re.match(r"because \w.{20,}", shown) is not None
    return all(said) and (NAMED.search(shown) is not None or has_reason)


@pytest.mark.parametrize(
    "head,row,is_good",
    [
        ("it cannot", ["fly", "`project/test_security.py::test_x`"], True),
        ("it cannot", ["fly", "because nobody can do that here"], False),
        ("it cannot", ["fly", ""], False),
        ("it cannot", ["", "`project/test_security.py::test_x`"], False),
        ("it can", ["walk", "`project/test_security.py::test_x`"], True),
        ("it can", ["walk", "because that is what legs are for"], True),
        ("it can", ["walk", "because"], False),
        ("it can", ["walk", "it is so"], False),
        ("input", ["a leg", "it walks", "because that is what legs are for"], False),
    ],
)
def test_a_row_without_a_test_is_found(head: str, row: list[str], *, is_good: bool) -> None:
    assert is_held(head, row) is is_good


RUNS_CODE: Final = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "jsonpickle",
    "joblib",
    "yaml",
    "runpy",
    "code",
}
"""Modules that make code of what they read, or run a text."""
BY_NAME: Final = {
    "consumer/modules.py": "the modules of handlers, which PIPELINE_HANDLERS and the command line name, and no message",
}
"""File -> why it imports modules by name."""
ASKED_TO: Final = {
    "cli/shell.py": "a prompt runs what is typed at it",
    "cli/begin.py": "begins the module that `./run` names on its command line",
}
"""File -> why it runs what it is told."""


def test_no_module_could_load_a_pickle_or_run_a_text() -> None:
    by_name, run = set[str](), set[str]()
    for room in ("shared", "producer", "consumer", "monitor", "cli"):
        for path in (ROOT / room).rglob("*.py"):
            names, calls = used_in(path.read_text(encoding="utf-8"))
            if names & RUNS_CODE or calls & {"eval", "exec", "compile", "__import__"}:
                run.add(str(path.relative_to(ROOT)))
            if "import_module" in calls:
                by_name.add(str(path.relative_to(ROOT)))
    assert (by_name, run) == (set(BY_NAME), set(ASKED_TO))


def used_in(source: str) -> tuple[set[str], set[str]]:
    """The top of every module that a source imports, and every function that it calls by a plain name."""
    names, calls = set[str](), set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            calls.add(node.func.id)
        elif isinstance(node, ast.Attribute) and node.attr == "import_module":
            calls.add(node.attr)
    return names, calls


def test_what_is_named_is_no_test_by_name_alone() -> None:
    assert "test_every_row_names_a_test_and_what_somebody_can_do_may_give_a_reason" in named_in(
        "project/test_security.py"
    )
    assert "test_of_nobody" not in named_in("project/test_security.py")
