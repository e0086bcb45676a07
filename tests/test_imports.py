"""Who may import whom (DESIGN section 2): every import statement of every file counts, wherever it stands."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each room and what it may import of ours, itself aside.
ALLOWED = {
    "shared.concurrency": set[str](),
    "shared": {"shared.concurrency"},
    "producer": {"shared", "shared.concurrency"},
    "consumer": {"shared", "shared.concurrency"},
    "monitor": {"shared", "shared.concurrency"},
    "examples": {"consumer", "shared", "shared.concurrency"},
    "cli": {"producer", "consumer", "monitor", "shared", "shared.concurrency"},
}


def modules() -> dict[str, Path]:
    """Every module of every room, by its dotted name."""
    found = {}
    for room in {name.partition(".")[0] for name in ALLOWED}:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str | None:
    """The innermost room that a module is in; None for what is not ours."""
    return next((room for room in ALLOWED if f"{module}.".startswith(f"{room}.")), None)


def imported(path: Path) -> Iterator[str]:
    """The full names of what a file imports; `from a import b` counts as a.b when that is a module, else as a."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name"
            source = node.module or ""
            for alias in node.names:
                yield name if (name := f"{source}.{alias.name}") in MODULES else source


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_one_way_only(module: str) -> None:
    room = room_of(module)
    assert room is not None
    rooms = {other for name in imported(MODULES[module]) if (other := room_of(name)) and other != room}
    assert rooms <= ALLOWED[room], f"{module} imports {sorted(rooms - ALLOWED[room])}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_of_ours_outside_the_rooms_is_imported(module: str) -> None:
    tops = {name.partition(".")[0] for name in imported(MODULES[module])}
    beside = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert not tops & (beside - {name.partition(".")[0] for name in ALLOWED})


def test_modules_import_each_other_in_no_circle() -> None:
    # Raises CycleError, which names the circle.
    TopologicalSorter({module: set(imported(path)) & set(MODULES) for module, path in MODULES.items()}).prepare()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_hides_from_this_test(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not (names | attributes) & {"TYPE_CHECKING", "__import__", "import_module"}
