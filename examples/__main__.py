"""Runs an example in one process, then across processes: `python -m examples [NAME]`; lists them without a name."""

import ast
import runpy
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_NAMES = sorted(path.parent.name for path in _HERE.glob("*/many_processes.py"))
_MODULES = ("taught_wrong", "one_process", "many_processes")
_MISTAKE = 2


def main(names: list[str]) -> int:
    """Run an example, or list them, with --help too; returns the exit code."""
    if names and names[0] in {"-h", "--help"}:
        sys.stdout.write("usage: ./run example [NAME]\n\nExit codes: 0 done; 2 there is no such example.\n\n")
        names = []
    if not names:
        width = max(map(len, _NAMES))
        sys.stdout.write("".join(f"{name:{width}}  {_about(name)}\n" for name in _NAMES))
        return 0
    (name, *more) = names
    if more or name not in _NAMES:
        sys.stderr.write(f"run: example takes one of {', '.join(_NAMES)}\n")
        return _MISTAKE
    sys.argv[1:] = []  # the name is ours, not an argument of the example
    for module in _MODULES:
        if (_HERE / name / f"{module}.py").exists():
            sys.stdout.write(f"--- examples/{name}/{module}.py\n")
            sys.stdout.flush()
            # As __main__: or the processes that it starts would not find its functions.
            runpy.run_module(f"examples.{name}.{module}", run_name="__main__", alter_sys=True)
    return 0


def _about(name: str) -> str:
    """What an example shows: the docstring of its package, which is one line."""
    return ast.get_docstring(ast.parse((_HERE / name / "__init__.py").read_text(encoding="utf-8"))) or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
