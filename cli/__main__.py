"""The command line of the project: `./run pipeline`; in the container `python -m cli`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import acl, cancel, dead, lease, limits, peek, produce, queue, schema, shares, status
from cli import scripts as script_files
from cli.completion import offer
from cli.doctor import command as doctor
from cli.schema import SchemaError
from cli.scripts import ScriptsError
from cli.target import TargetError
from shared.concurrency import ConcurrencyError
from shared.environment import SettingsError
from shared.escapes import escaped
from shared.upgrades import UpgradeMissing

app = typer.Typer(
    name="pipeline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
app.add_typer(dead.app)
app.add_typer(lease.app)
queue.app.command()(cancel.cancel)
queue.app.command()(shares.weigh)
queue.app.command()(shares.shares)
queue.app.command()(limits.limit)
queue.app.command()(limits.limits)
app.add_typer(queue.app)
app.add_typer(status.app)
app.add_typer(peek.app)
app.add_typer(produce.app)
app.add_typer(acl.app)
app.add_typer(doctor.app)


@app.callback()
def pipeline() -> None:
    """A distributed producer-consumer pipeline: asyncio's patterns, across processes."""


@app.command("schema")
def schema_(
    *,
    into: Annotated[
        Path, typer.Option(help="The directory to write them into.", metavar="DIR", show_default="docs/schema")
    ] = schema.DIRECTORY,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: say which classes changed, and which need a new version.")
    ] = False,
) -> None:
    """Write JSON Schema for every message class, and one AsyncAPI document about the queue; docs/schema/ holds them.

    Run it when a message class has changed: a test compares what it writes with what is committed. A class that changed
    in a way that needs a new version and has none is refused; docs/messages-that-change.md says what to do.
    """
    if check:
        for change in schema.check(into):
            sys.stdout.write(f"{change}\n")
        return
    for path in schema.write(into):
        sys.stdout.write(f"{path}\n")


@app.command()
def scripts(
    *,
    into: Annotated[Path, typer.Option(help="The directory to write them into.", metavar="DIR")],
) -> None:
    """Write the scripts as the server runs them, for a client in another language; docs/protocol.md explains them."""
    for path in script_files.write(into):
        sys.stdout.write(f"{path}\n")


_EXIT_CODES = (
    "Exit codes: 0 done; 1 something was not there, or not done, or not confirmed; 2 a mistake that you can correct, or "
    "no server; 130 interrupted. Problems are on stderr."
)
for _each in (app, dead.app, lease.app, queue.app, status.app, peek.app, produce.app, acl.app, doctor.app):
    _each.info.epilog = _EXIT_CODES
    for _command in _each.registered_commands:
        _command.epilog = _EXIT_CODES

_SCRIPT = "pipeline"
_DOOR = Path(__file__).resolve().parent.parent / "run"
_MISTAKES = (TargetError, SchemaError, ScriptsError, SettingsError, UpgradeMissing, ConcurrencyError)


def main() -> None:
    """Run the command line. A mistake that the user can correct is one line and exit code 2."""
    try:
        if offer(app):
            return
        # A container has no door, nor has an installed wheel, whose script has a name of its own.
        script = Path(sys.argv[0]).stem
        app(prog_name="./run pipeline" if _DOOR.exists() else script if script == _SCRIPT else "python -m cli")
    except _MISTAKES as error:
        sys.stderr.write("".join(f"pipeline: {escaped(line)}\n" for line in str(error).splitlines()))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("pipeline: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
