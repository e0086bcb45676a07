"""Who may import whom: every import statement of every file counts, wherever it stands."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = "shared.concurrency"
QUEUES = f"{ENGINE}.queues"
DEMO = "shared.demo"
FACES = {ENGINE, f"{ENGINE}.blocking"}  # for coroutines, and for synchronous code
_SESSION = {f"{ENGINE}.errors", f"{ENGINE}.session"}
_GROUND = _SESSION | {f"{QUEUES}.encoding", f"{QUEUES}.membership"}
_PACKAGE = {"shared", ENGINE}
# Each room and what it imports of ours, itself aside: no right that nobody uses. In one line: errors <- session <-
# queues.{encoding, membership} <- queues.{puts, takes, effects} <- queues.results <- queues.deliveries <- queues;
# session <- locks.leases <- locks; shared.concurrency <- shared <- producer | consumer | monitor <- cli. Queues and
# locks never meet. Only YOURS files and cli.demo import shared.demo. docs/rooms.md says what each room is for.
ALLOWED = {
    f"{ENGINE}.errors": set[str](),
    f"{ENGINE}.checks": set[str](),
    f"{ENGINE}.rate": {f"{ENGINE}.checks"},
    f"{ENGINE}.session": {f"{ENGINE}.errors", f"{ENGINE}.checks"},
    f"{QUEUES}.encoding": {f"{ENGINE}.errors", f"{ENGINE}.checks"},
    f"{QUEUES}.membership": _SESSION | {f"{QUEUES}.encoding"},
    f"{QUEUES}.puts": _GROUND,
    f"{QUEUES}.takes": _GROUND,
    f"{QUEUES}.effects": _GROUND | {f"{ENGINE}.checks"},
    f"{QUEUES}.results": _GROUND | {f"{ENGINE}.checks", f"{QUEUES}.puts"},
    f"{QUEUES}.deliveries": _GROUND
    | {f"{ENGINE}.checks"}
    | {f"{QUEUES}.takes", f"{QUEUES}.effects", f"{QUEUES}.results"},
    QUEUES: _GROUND
    | {f"{ENGINE}.checks", f"{ENGINE}.rate"}
    | {f"{QUEUES}.puts", f"{QUEUES}.takes", f"{QUEUES}.effects", f"{QUEUES}.results", f"{QUEUES}.deliveries"},
    f"{ENGINE}.locks.leases": _SESSION | {f"{ENGINE}.checks"},
    f"{ENGINE}.locks": _SESSION | {f"{ENGINE}.checks", f"{ENGINE}.rate", f"{ENGINE}.locks.leases"},
    ENGINE: _SESSION
    | {QUEUES, f"{QUEUES}.encoding", f"{QUEUES}.effects", f"{QUEUES}.results", f"{QUEUES}.deliveries"}
    | {f"{ENGINE}.locks", f"{ENGINE}.locks.leases", f"{ENGINE}.rate"},
    # The same face for synchronous code: made of that face, and the type of a message with a result.
    f"{ENGINE}.blocking": {ENGINE, f"{QUEUES}.results"},
    "shared": {ENGINE},
    DEMO: _PACKAGE,
    "producer": _PACKAGE,
    "consumer": _PACKAGE,
    "monitor": _PACKAGE,
    "examples": _PACKAGE | {"consumer"},
    "cli": _PACKAGE | {"monitor"},
    "cli.demo": _PACKAGE | {DEMO, "cli"},
}
# The modules inside the engine that a room outside it reaches; all others, and YOURS files, know its face alone.
REACHED = {
    "shared": {
        f"{ENGINE}.session.address.cluster", f"{ENGINE}.session.cluster.slot_address", f"{ENGINE}.session.server_errors",
        f"{ENGINE}.checks", f"{ENGINE}.session.address.address", f"{ENGINE}.session.address.connections", f"{ENGINE}.session.address.endpoint", f"{ENGINE}.session.address.grammar",
        f"{ENGINE}.session.address.credentials", f"{ENGINE}.session.address.sentinel", f"{ENGINE}.session.admission", f"{ENGINE}.session.log", f"{ENGINE}.session.outage", f"{ENGINE}.session.session",
        f"{QUEUES}.encoding.codec", f"{QUEUES}.encoding.flow", f"{QUEUES}.encoding.outgoing", f"{QUEUES}.encoding.versions", f"{QUEUES}.service",
    },
    "producer": {
        f"{ENGINE}.session.futures", f"{ENGINE}.session.log", f"{ENGINE}.session.outage", f"{QUEUES}.encoding.codec", f"{QUEUES}.encoding.entry", f"{QUEUES}.encoding.unreadable",
        f"{QUEUES}.encoding.versions",
    },
    "consumer": {
        f"{ENGINE}.checks", f"{ENGINE}.errors", f"{ENGINE}.session.clock", f"{ENGINE}.session.tasks", f"{ENGINE}.session.tracer", f"{ENGINE}.session.tracing", f"{QUEUES}.service", f"{QUEUES}.deliveries.handout", f"{QUEUES}.prefetch", f"{QUEUES}.deliveries.settling",
        f"{QUEUES}.deliveries.gathering", f"{QUEUES}.deliveries.held_batch", f"{QUEUES}.effects.effects", f"{QUEUES}.effects.forwards",
        f"{QUEUES}.encoding.codec", f"{QUEUES}.encoding.entry", f"{QUEUES}.encoding.flow", f"{QUEUES}.encoding.outgoing", f"{QUEUES}.encoding.results", f"{QUEUES}.encoding.unique",
    },
    "monitor": {
        f"{ENGINE}.session.address.certificates", f"{ENGINE}.session.address.cluster", f"{ENGINE}.session.address.credentials", f"{ENGINE}.session.address.endpoint", f"{ENGINE}.session.cluster.survey", f"{ENGINE}.session.cluster.topology", f"{ENGINE}.session.server_errors",
        f"{ENGINE}.session.address.address", f"{ENGINE}.session.address.connections", f"{ENGINE}.session.calls", f"{ENGINE}.session.clock", f"{ENGINE}.session.histogram",
        f"{ENGINE}.session.scripts",
        f"{ENGINE}.locks.leases.snapshot", f"{QUEUES}.dead_letters", f"{QUEUES}.membership.keys", f"{QUEUES}.settings", f"{QUEUES}.shares", f"{QUEUES}.snapshot",
    },
    "cli.demo": {f"{ENGINE}.session.address.address", f"{ENGINE}.session.address.connections"},
    "cli": {
        f"{ENGINE}.session.clock", f"{ENGINE}.session.examination", f"{ENGINE}.session.script_commands", f"{ENGINE}.session.server_errors",
        f"{ENGINE}.session.address.address", f"{ENGINE}.session.address.connections", f"{ENGINE}.session.address.credentials", f"{ENGINE}.session.calls", f"{ENGINE}.session.names", f"{ENGINE}.session.scripts",
        f"{ENGINE}.session.session", f"{ENGINE}.locks.leases.keys", f"{ENGINE}.locks.leases.participant", f"{QUEUES}.membership.keys",
        f"{ENGINE}.locks.leases.snapshot", f"{QUEUES}.encoding.entry", f"{QUEUES}.settings", f"{QUEUES}.shares", f"{QUEUES}.snapshot", f"{QUEUES}.statistics",
        f"{QUEUES}.encoding.unique", f"{ENGINE}.checks",
    },
}  # fmt: skip
# The files that belong to the application.
YOURS = {
    "shared.messages", "shared.settings", "shared.resources", "consumer.handlers", "consumer.around", "producer.source", "producer.schedule", "shared.version",
}  # fmt: skip
# What imports a module whose name is not written in an import statement.
HIDING = {
    "TYPE_CHECKING", "__import__", "import_module", "exec_module", "load_module", "pkgutil", "resolve_name",
    "runpy", "run_module", "run_path",
}  # fmt: skip
# Those that are told at run time what to run: a command, an example, the modules of an application's handlers.
RUNNERS = {"cli.begin", "examples.__main__", "consumer.executors.child", "consumer.modules"}


def modules(*folders: str) -> dict[str, Path]:
    """Every module in these folders, by its dotted name."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


ROOMS = {room.partition(".")[0] for room in ALLOWED}
MODULES = modules(*ROOMS)
# Benchmarks, tools and tests.
BESIDE = modules(*({path.parent.name for path in ROOT.glob("*/__init__.py")} - ROOMS))


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
                yield name if (name := f"{source}.{alias.name}") in MODULES or name in BESIDE else source


def uses() -> Iterator[tuple[str, str, str, str]]:
    """Each import that leaves a room: the room, the module, the other room, the module that is imported."""
    for module, path in MODULES.items():
        room = room_of(module)
        assert room is not None
        for name in imported(path):
            other = room_of(name)
            if other and other != room:
                yield room, module, other, name


def seen_from(room: str, other: str) -> str:
    """A room as another sees it: from outside, the engine is one room."""
    return ENGINE if other.startswith(ENGINE) and not room.startswith(ENGINE) else other


def test_imports_go_one_way_only() -> None:
    assert not [
        f"{module} imports {name}"
        for room, module, other, name in uses()
        if (seen := seen_from(room, other)) not in ALLOWED[room] and not (seen == DEMO and module in YOURS)
    ]


def test_from_outside_only_the_modules_that_are_listed_are_reached() -> None:
    assert not [
        f"{module} imports {name}"
        for room, module, other, name in uses()
        if seen_from(room, other) == ENGINE
        and name not in FACES
        and not room.startswith(ENGINE)
        and (module in YOURS or name not in REACHED.get(room, ()))
    ]


def test_every_right_is_used() -> None:
    there = {room_of(module) for module in MODULES}  # a project may have no demo and no examples
    rights = {(room, other) for room, allowed in ALLOWED.items() if room in there for other in allowed}
    assert not rights - {(room, seen_from(room, other)) for room, _, other, _ in uses()}
    reached = {(room, name) for room, names in REACHED.items() if room in there for name in names}
    assert not reached - {(room, name) for room, _, _, name in uses()}


def test_beside_the_rooms_only_the_tests_of_the_demo_import_it() -> None:
    demo = (f"{DEMO}.", "cli.demo.", "tests.demo.")
    assert not [
        f"{module} imports {name}"
        for module, path in BESIDE.items()
        if not f"{module}.".startswith("tests.demo.")
        for name in imported(path)
        if f"{name}.".startswith(demo)
    ]


def test_every_file_that_is_yours_is_there_and_says_so() -> None:
    for module, path in MODULES.items():
        assert path.read_text(encoding="utf-8").startswith('"""YOURS: ') == (module in YOURS), module
    assert set(MODULES) >= YOURS


def test_the_page_of_rooms_lists_each_room_and_each_file_that_is_yours() -> None:
    listed = re.findall(r"^\| `([\w/.]+)` \|", (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in listed if name.endswith(".py")} == {f"{name.replace('.', '/')}.py" for name in YOURS}
    rooms = {name.removesuffix("/") for name in listed if name.endswith("/")}
    demo = {"shared/demo", "cli/demo"}  # a project may do without it
    packages = {path.parent.relative_to(ROOT) for path in MODULES.values() if path.name == "__init__.py"}
    there = {path.as_posix() for path in packages if path.parts[0] != "examples"}
    there |= {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"shared/concurrency/lua"}
    assert rooms - demo == there - demo


def test_nothing_of_ours_outside_the_rooms_is_imported() -> None:
    assert not {module: found for module, path in MODULES.items() if (found := set(imported(path)) & set(BESIDE))}


def test_modules_import_each_other_in_no_circle() -> None:
    # Raises CycleError, which names the circle.
    TopologicalSorter({module: set(imported(path)) & set(MODULES) for module, path in MODULES.items()}).prepare()


def hiding(source: str) -> set[str]:
    """The words in a file by which an import can hide."""
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.alias):
            words.update(node.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            words.update((node.module or "").split("."))
    return words & HIDING


def test_no_import_hides_from_this_test() -> None:
    assert {module for module, path in MODULES.items() if hiding(path.read_text())} == RUNNERS & set(MODULES)


@pytest.mark.parametrize(
    "source",
    [
        "from importlib import import_module as load",
        "import importlib\nimportlib.import_module('cli')",
        "import runpy as run",
        "from runpy import run_path",
        "from typing import TYPE_CHECKING as never",
        "import typing\nif typing.TYPE_CHECKING:\n    import cli",
        "__import__('cli')",
        "from pkgutil import resolve_name as name",
    ],
)
def test_every_way_to_hide_an_import_is_found(source: str) -> None:
    assert hiding(source)
