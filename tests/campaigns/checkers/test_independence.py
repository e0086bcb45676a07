"""The checkers judge the product, so they share nothing with it: no model, no constant, no reading of its keys."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
PACKAGE: Final = "tests.campaigns.checkers"
CHECKERS: Final = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))


def foreign(source: str) -> list[str]:
    """The modules that a source imports, wherever it does, and that are neither Python's nor of this package."""
    return [
        module
        for module in _imported(ast.parse(source))
        if module.partition(".")[0] not in sys.stdlib_module_names and not f"{module}.".startswith(f"{PACKAGE}.")
    ]


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, level=level):
                yield "." * level + (module or "")


@pytest.mark.parametrize("path", CHECKERS, ids=lambda path: path.stem)
def test_a_checker_imports_nothing_of_what_it_judges(path: Path) -> None:
    assert foreign(path.read_text(encoding="utf-8")) == []


def test_an_import_of_the_product_is_seen_wherever_it_stands() -> None:
    hidden = "def check():\n    from shared.concurrency import Queue\n    import redis.asyncio\n"
    assert foreign(hidden) == ["shared.concurrency", "redis.asyncio"]
    assert foreign(f"import os.path\nfrom {PACKAGE}.gaps import Gap\nfrom {PACKAGE} import gaps\n") == []
    assert foreign("from tests.campaigns.checkers_of_mine import x\nfrom . import gaps\n") == [
        "tests.campaigns.checkers_of_mine", ".",
    ]  # fmt: skip
    assert len(CHECKERS) > 10, "they stand elsewhere, and nothing is looked at"
