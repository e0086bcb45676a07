"""A class of the engine asks its reader to hold at most thirteen fields at once, those of its bases among them."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.instruments.lines import ROOT

MOST: Final = 13
ENGINE: Final = ROOT / "shared" / "concurrency"

EXCEPTIONS: Final = {
    "QueueStatistics": "a flat row of figures, as users read it: no method works on it, and no reader holds it at once",
}
"""Class -> why it may have more."""


def classes(paths: Iterable[Path]) -> dict[str, ast.ClassDef]:
    """Class -> its definition. A name that two modules of the engine use stands for the first, with its module."""
    found: dict[str, ast.ClassDef] = {}
    for path in sorted(paths):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                name = node.name if node.name not in found else f"{path.relative_to(ENGINE)}:{node.name}"
                found[name] = node
    return found


def own_fields(defined: ast.ClassDef) -> set[str]:
    """What the methods of a class set on `self`, its slots, and the fields of a dataclass or a named tuple."""
    found = {
        node.attr
        for node in ast.walk(defined)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }
    for node in defined.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if "ClassVar" not in ast.unparse(node.annotation):
                found.add(node.target.id)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
            found |= {word for word in ast.literal_eval(node.value) if not word.startswith("__")}
    return found


def fields(name: str, known: dict[str, ast.ClassDef]) -> set[str]:
    """The fields of a class and of those of its bases that are the engine's own."""
    found = own_fields(known[name])
    for base in known[name].bases:
        of = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(of, ast.Name) and of.id in known:
            found |= fields(of.id, known)
    return found


def test_no_class_has_more_fields_than_a_reader_can_hold() -> None:
    """Fields that belong together are an object of their own, with a noun."""
    known = classes(ENGINE.rglob("*.py"))
    counted = {name: fields(name, known) for name in known}
    assert len(counted["TakeLane"]) > len(own_fields(known["TakeLane"]))  # those of its base count
    assert {name: sorted(found) for name, found in counted.items() if len(found) > MOST} == {
        name: sorted(counted[name]) for name in EXCEPTIONS
    }
