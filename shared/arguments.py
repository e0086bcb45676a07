"""What stands behind a service on its command line: --help, or nothing."""

import argparse
from pathlib import Path

from shared.environment import Environment
from shared.variables import variable_of

_DOOR = Path(__file__).resolve().parent.parent / "run"


def read_arguments(name: str, kind: type[Environment]) -> None:
    """Read the command line of a service: it takes no arguments, but --help prints the variables that set it up.

    `kind`: its settings. Ends the process with exit code 0 after --help, and 2 after anything else.
    """
    parser = argparse.ArgumentParser(
        prog=f"./run {name}" if _DOOR.exists() else name,  # a container has no door
        description=f"Run the {name} in the foreground. SIGTERM and Ctrl-C drain it; a second one ends it at once.",
        epilog="Exit codes: 0 its work has ended, or it was drained; 1 a server failed a command of the application, or did\n"
        "not take back what it held; 2 the set-up is wrong. One line on stderr says which.\n\n"
        "It is set up by these environment variables (docs/settings.md says what each means).\n"
        f"Here with their defaults:\n\n{_variables(kind)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"do not run: exit 0 when the {name} on this machine is well, else 1 and one line; nothing else may be given",
    )
    if _DOOR.exists():
        text = "drain and start anew when a file of the project changes, for development; nothing else may be given"
        parser.add_argument("--reload", action="store_true", help=text)
    given = parser.parse_args()
    if given.check:  # alone it was dealt with before the settings were read
        parser.error("--check stands alone")
    if getattr(given, "reload", False):  # `./run` deals with it
        parser.error(f"--reload is for ./run {name} --reload")


def _variables(kind: type[Environment]) -> str:
    lines = []
    for word, field in kind.model_fields.items():
        default = "" if field.default is None else field.default
        lines.append(f"  {variable_of(word)}={default}")
    return "\n".join(lines)
