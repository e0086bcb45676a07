"""The command of the demo: `./run demo`, or `python -m cli.demo`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.completion import offer
from cli.demo.demo import Demo, DemoError, ServiceFellError
from shared.concurrency import ConcurrencyError
from shared.environment import SettingsError
from shared.local.server_error import EmbeddedServerError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def demo(  # noqa: PLR0917  # typer's way to declare options
    path: Annotated[
        Path | None,
        typer.Argument(help="The directory tree to count (default: the source of Python's standard library)."),
    ] = None,
    glob: Annotated[str, typer.Option(help="Which of its files.")] = "**/*.py",
    consumers: Annotated[int, typer.Option(min=1, max=64, help="Consumer processes.")] = 3,
    producers: Annotated[int, typer.Option(min=1, max=64, help="Producer processes, which share the files.")] = 1,
    maxsize: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Messages pending at most; 0 for no bound.")
    ] = 100,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill a consumer with -9 about once a second.")] = False,  # noqa: FBT002
    watch: Annotated[bool, typer.Option("--watch", help="Show it in a browser; prints the address.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,  # noqa: FBT002
) -> None:
    """Count words with several processes through one bounded queue, and check the result.

    It starts a server of its own, or uses the one of REDIS_URL under key names of its own, which it deletes at the end.

    Exit codes: 0 exact; 1 wrong, or interrupted by a fault; 2 a mistake in the command; 130 interrupted by Ctrl-C.
    """
    work = Demo(
        path=path, glob=glob, consumers=consumers, producers=producers, maxsize=maxsize, chaos=chaos, watch=watch
    )
    report = work.run()
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        report.show()
    if not report.right:
        raise typer.Exit(1)


_MISTAKES = (DemoError, SettingsError, EmbeddedServerError, ConcurrencyError)


def main() -> None:
    """Run the demo; what a user can mend is one line and exit code 2."""
    try:
        if not offer(app):
            app(prog_name="./run demo")
    except _MISTAKES as error:
        sys.stderr.write("".join(f"demo: {line}\n" for line in str(error).splitlines()))
        sys.exit(2)
    except ServiceFellError as error:
        sys.stderr.write(f"demo: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
