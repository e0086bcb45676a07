"""docs/from-asyncio.md, "Every difference": each row has cases that show it, and each marked case has its row."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = (HERE.parent.parent / "docs" / "from-asyncio.md").read_text(encoding="utf-8")
HEADING: Final = "\n## Every difference\n"


def rows() -> list[list[str]]:
    """The cells of each row, without the two lines of the head."""
    _, _, section = PAGE.partition(HEADING)
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def marked() -> Iterator[tuple[str, str, str]]:
    """Key, name and source of each marked case."""
    for path in HERE.glob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_source_segment(source, node) or ""
                yield from ((key, node.name, text) for mark in node.decorator_list if (key := key_of(mark)))


def key_of(decorator: ast.expr) -> str:
    """The key of `@pytest.mark.differs(key)`; empty for any other decorator."""
    match decorator:
        case ast.Call(func=ast.Attribute(attr="differs"), args=[ast.Constant(value=str(key))], keywords=[]):
            return key
    return ""


def test_each_row_says_what_each_does_and_why() -> None:
    assert rows()
    assert [row for row in rows() if len(row) != 4 or not all(row)] == []
    keys = [row[0] for row in rows()]
    assert sorted(set(keys)) == sorted(keys)


def test_each_row_has_its_cases_and_each_case_its_row() -> None:
    assert {row[0].strip("`") for row in rows()} == {key for key, _, _ in marked()}


def test_each_marked_case_runs_and_asks_whose_class_it_is() -> None:
    cases = list(marked())
    assert [name for _, name, _ in cases if not name.startswith("test_")] == []
    assert [name for _, name, text in cases if "ours" not in text] == []


def test_every_mark_is_read() -> None:
    """None is written in a way that this file does not see."""
    written = sum(path.read_text(encoding="utf-8").count(".differs(") for path in HERE.glob("test_*.py"))
    here = Path(__file__).read_text(encoding="utf-8").count(".differs(")
    assert written - here == len(list(marked())) > 0
