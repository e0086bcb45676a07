"""`./run pipeline status` and `top`: everything at the server, once, and again and again."""

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.listing import fail, write_line
from cli.reader import open_reader
from cli.screen import drawn, head_of, plain, sections
from monitor.history import History
from monitor.snapshot import Snapshot
from monitor.watch import Watch, open_watch
from shared.concurrency import ServerUnavailable
from shared.escapes import escaped

app = typer.Typer()


@app.command()
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the snapshot as one JSON object.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of that, and ask no server.")] = False,
) -> None:
    """Show all queues, consumers, dead letters, leases and the server at one moment, without taking part.

    docs/monitor.md says what each number means. Exit code 1: something could not be read, and is named.
    """
    if schema:
        sys.stdout.write(json.dumps(Snapshot.model_json_schema(), indent=2) + "\n")
        return
    asyncio.run(_status(as_json=as_json))


async def _status(*, as_json: bool) -> None:
    history = History()
    async with open_reader() as reader, open_watch(reader.link) as watch:
        seen = await watch.snapshot()
    history.add(seen)
    if as_json:
        sys.stdout.write(seen.model_dump_json() + "\n")
    else:
        _show(history)
    if seen.problems:
        fail(*(f"{each.name}: {each.text}" for each in seen.problems))


@app.command()
def top(
    *,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
    count: Annotated[
        int | None, typer.Option(min=1, help="Look so many times, then end; without it until Ctrl-C.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a snapshot a line, as JSON.")] = False,
) -> None:
    """Show the same again and again, with rates: live on a terminal, else one block of lines after the other.

    Rates are means of the last ten seconds; p50 and p95 of a consumer are of all it has handled. Ctrl-C ends it with
    exit code 0.
    """
    try:
        asyncio.run(_top(every, count, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _top(every: float, count: int | None, *, as_json: bool) -> None:
    history, looks = History(), 0
    async with open_reader() as reader, open_watch(reader.link) as watch:
        with Live(console=Console(highlight=False), auto_refresh=False) as live:
            while looks != count:
                if looks:
                    await asyncio.sleep(every)
                looks += 1
                problem = await _look(watch, history)
                if live.console.is_terminal and not as_json:
                    screen = drawn(history, live.console.width)
                    live.update(Text(f"{problem}\n", style="red").append(screen) if problem else screen, refresh=True)
                elif problem:
                    sys.stderr.write(f"pipeline: {problem}\n")
                elif as_json and history.latest is not None:
                    sys.stdout.write(history.latest.model_dump_json() + "\n")
                else:
                    _show(history)
                sys.stdout.flush()


async def _look(watch: Watch, history: History) -> str:
    """Add a snapshot; returns why there is none, when the server does not answer: it may come back."""
    try:
        history.add(await watch.snapshot())
    except ServerUnavailable as error:
        return escaped(str(error))
    return ""


def _show(history: History) -> None:
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(drawn(history, console.width), soft_wrap=True)
        return
    write_line(head_of(history))
    for section in sections(history):
        if section.rows:
            sys.stdout.write("\n" + plain(section))
