"""Who may import whom: every import statement of every file counts, wherever it stands."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = "shared.concurrency"
DEMO = "shared.demo"
_SESSION = {f"{ENGINE}.errors", f"{ENGINE}.checks", f"{ENGINE}.session"}
_GROUND = _SESSION | {f"{ENGINE}.queues.encoding", f"{ENGINE}.queues.membership"}
_WAYS = {f"{ENGINE}.queues.puts", f"{ENGINE}.queues.takes", f"{ENGINE}.queues.effects"}
_PACKAGE = {"shared", ENGINE}
# Each room and what it may import of ours, itself aside. In one line: errors <- session <- queues.{encoding,
# membership} <- queues.{puts, takes, effects} <- queues.results <- queues; session <- locks.leases <- locks;
# shared.concurrency <- shared <- producer | consumer | monitor <- cli. Queues and locks never meet. Only YOURS files
# and cli.demo import shared.demo.
ALLOWED = {
    f"{ENGINE}.errors": set[str](),
    f"{ENGINE}.checks": set[str](),
    f"{ENGINE}.session": {f"{ENGINE}.errors", f"{ENGINE}.checks"},
    f"{ENGINE}.queues.encoding": _SESSION,
    f"{ENGINE}.queues.membership": _SESSION | {f"{ENGINE}.queues.encoding"},
    f"{ENGINE}.queues.puts": _GROUND,
    f"{ENGINE}.queues.takes": _GROUND | {f"{ENGINE}.queues.effects", f"{ENGINE}.queues.results"},
    f"{ENGINE}.queues.effects": _GROUND,
    f"{ENGINE}.queues.results": _GROUND | _WAYS,
    f"{ENGINE}.queues": _GROUND | _WAYS | {f"{ENGINE}.queues.results"},
    f"{ENGINE}.locks.leases": _SESSION,
    f"{ENGINE}.locks": _SESSION | {f"{ENGINE}.locks.leases"},
    ENGINE: {f"{ENGINE}.{room}" for room in ("errors", "session", "queues", "locks", "locks.leases")}
    | {f"{ENGINE}.queues.{room}" for room in ("encoding", "membership", "puts", "takes", "effects", "results")},
    "shared": {ENGINE},
    DEMO: _PACKAGE,
    "producer": _PACKAGE,
    "consumer": _PACKAGE,
    "monitor": _PACKAGE,
    "examples": _PACKAGE | {"consumer"},
    "cli": _PACKAGE | {"producer", "consumer", "monitor"},
    "cli.demo": _PACKAGE | {DEMO},
}
# The files that belong to the application.
YOURS = {
    "shared.messages", "shared.settings", "shared.resources", "consumer.handlers", "producer.source", "producer.schedule",
}  # fmt: skip


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
    return max((room for room in ALLOWED if f"{module}.".startswith(f"{room}.")), key=len, default=None)


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
    if not room.startswith(ENGINE):  # from outside, the engine is one room
        rooms = {ENGINE if other.startswith(ENGINE) else other for other in rooms}
    allowed = ALLOWED[room] | ({DEMO} if module in YOURS else set())
    assert rooms <= allowed, f"{module} imports {sorted(rooms - allowed)}"


def test_every_file_that_is_yours_is_there_and_says_so() -> None:
    for module, path in MODULES.items():
        assert path.read_text(encoding="utf-8").startswith('"""YOURS: ') == (module in YOURS), module
    assert set(MODULES) >= YOURS


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
