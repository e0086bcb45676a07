"""`./run pipeline queue`: shows queues and operates them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.confirm import Yes, confirm
from cli.listing import Listing, fail, write_between, write_json, write_line
from cli.reader import open_reader
from cli.target import open_server
from shared.concurrency import Queue, QueueSession, QueueStatistics
from shared.concurrency.checks import LONGEST
from shared.concurrency.queues.settings import LARGEST_BOUND
from shared.concurrency.session.session import process_of
from shared.message import Message

app = typer.Typer(
    name="queue",
    no_args_is_help=True,
    help="Show queues and operate them: pause, resume, resize, drain consumers, cancel messages, shut down, reopen.",
)

OfQueue = Annotated[
    str | None, typer.Option("--queue", help="The queue, or GROUP/NAME; without it PIPELINE_QUEUE.", metavar="NAME")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else.")]


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the queues at the server: a table on a terminal, else a line of headings and one for each.

    The columns: name, pending, leased, delayed, dead, state. The state is open, paused, shut down, or both of the last.
    Exit code 1: one of the queues cannot be read.
    """
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    counts = ("pending", "leased", "delayed", "dead")
    listing = Listing("queue", *counts, "state", right=counts)
    problems = []
    async with open_reader() as reader:
        names = await reader.queues()
        for name, seen in zip(names, await reader.statistics(names), strict=True):
            if isinstance(seen, str):  # one spoilt queue must not hide the others
                problems.append(f"{name}: {seen}")
            elif as_json:
                write_json({"queue": name, **asdict(seen)})
            else:
                listing.add(name, *(getattr(seen, word) for word in counts), _state(seen))
    listing.end()
    if problems:
        fail(*problems)


@app.command()
def show(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Show the counts of a queue and its sessions.

    For each session: how many deliveries it holds, seconds until it must be renewed, what it is, its process and host.
    A consumer is a session of a consumer service, which `drain` reaches. 0.0 seconds: the session is over, and about to
    be recovered. With --watch Ctrl-C ends it with exit code 0.
    """
    try:
        asyncio.run(_show(queue, as_json=as_json, watch=watch))
    except KeyboardInterrupt:
        if not watch:
            raise


async def _show(name: str | None, *, as_json: bool, watch: bool) -> None:
    async with open_server() as server:
        queue, own = await server.queue(name), process_of(server.session).owner
        while True:
            seen = await queue.statistics()
            _print(queue, seen, [each for each in await queue.sessions() if each.owner != own], as_json=as_json)
            if not watch:
                return
            sys.stdout.flush()
            await asyncio.sleep(1.0)
            write_between(as_json=as_json)


def _print(queue: Queue[Message], seen: QueueStatistics, sessions: list[QueueSession], *, as_json: bool) -> None:
    if as_json:
        write_json({"queue": queue.full_name, **asdict(seen), "sessions": [asdict(each) for each in sessions]})
        return
    write_line(f"queue: {queue.full_name}")
    write_line(f"state: {_state(seen)}")
    for word, value in asdict(seen).items():
        if not word.startswith("is_"):
            shown = value if word != "maxsize" or value else "no bound"
            write_line(f"{word.replace('_', ' ')}: {shown}")
    if sessions:
        write_line("")
    listing = Listing("session", "held", "seconds left", "what", "pid", "host", right=("held", "seconds left", "pid"))
    for each in sessions:
        listing.add(each.owner, each.held, f"{each.seconds_left:.1f}", _kind(each), each.pid or "", each.host)
    listing.end()


@app.command()
def pause(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """Deliver nothing until `resume`. Puts enter while there is room; leased deliveries are finished as usual."""
    _do(
        lambda there: there.pause(),
        queue,
        "is paused: nothing is delivered until `./run pipeline queue resume`",
        as_json,
    )


@app.command()
def resume(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """End a pause, and wake the consumers that wait."""
    _do(lambda there: there.resume(), queue, "delivers again", as_json)


@app.command()
def resize(
    maxsize: Annotated[
        int | None,
        typer.Argument(min=0, max=LARGEST_BOUND, help="Messages pending at most; 0 for no bound.", metavar="MAXSIZE"),
    ] = None,
    *,
    max_attempts: Annotated[
        int | None, typer.Option(min=1, max=999, help="Failures until a message is a dead letter.")
    ] = None,
    max_crashes: Annotated[
        int | None, typer.Option(min=0, max=9, help="Crashes until a message is a dead letter; 0 for never.")
    ] = None,
    max_dead: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_BOUND, help="Dead letters that are kept; 0 for all.")
    ] = None,
    dead_for: Annotated[
        float | None, typer.Option(min=0, max=10 * LONGEST, help="Seconds for which each is kept; 0 for ever.")
    ] = None,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Change the bound of a running queue, or another of the settings that are stored with it.

    What is not named stays as it is. After a shrink no put enters until there is room.
    """
    others = {"max_crashes": max_crashes, "max_dead": max_dead, "dead_for": dead_for}
    changes: dict[str, Any] = {word: value or None for word, value in others.items() if value is not None}
    if max_attempts is not None:
        changes["max_attempts"] = max_attempts
    if maxsize is None and not changes:
        raise typer.BadParameter("give MAXSIZE, or an option: what is to change?")
    done = "has new settings: see `./run pipeline queue show`"
    if maxsize is not None and not changes:
        done = f"takes {maxsize} pending messages at most" if maxsize else "has no bound"
    try:
        _do(lambda there: there.resize(maxsize, **changes), queue, done, as_json)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def shutdown(
    *,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Make dead letters of all messages that wait for delivery.")
    ] = False,
    yes: Yes = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Refuse puts, waiting ones too; consumers end once all messages are finished. Resume a paused queue for that.

    With --immediate nothing more is delivered, and nothing is lost: see `./run pipeline dead`. It asks back at a
    terminal. Exit code 1: it was not confirmed.
    """
    what = "and make dead letters of all that waits in it" if immediate else "for all processes"
    confirm(f"Shut the queue {queue or 'of PIPELINE_QUEUE'} down, {what}?", yes=yes)
    done = (
        "is shut down; the messages that waited are in `./run pipeline dead list`"
        if immediate
        else "is shut down: no put enters, the messages in it are still delivered"
    )
    _do(lambda there: there.shutdown(immediate), queue, done, as_json)


@app.command()
def reopen(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """End a shutdown."""
    _do(lambda there: there.reopen(), queue, "takes puts again", as_json)


@app.command()
def drain(
    consumer: Annotated[
        str | None, typer.Argument(help="The consumer to drain, as `show` names it.", metavar="CONSUMER")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All consumers of the queue.")] = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Drain a consumer service, or all, as SIGTERM does: take no more, finish, give back, end with exit code 0.

    The command does not wait for the end: `show` lists the consumers that are still there. A consumer that is cut off
    or busy drains later. A supervisor that always restarts brings the consumer back at once: `restart: unless-stopped`
    or `always` in Compose; `on-failure`, which docker-compose.yml has, does not. Exit code 1: no such consumer.
    """
    if (consumer is None) == (not every):
        raise typer.BadParameter("name one consumer (`./run pipeline queue show` lists them), or give --all")
    if consumer == "":
        raise typer.BadParameter("a consumer's name must not be empty")
    asyncio.run(_drain(consumer, queue, as_json=as_json))


async def _drain(consumer: str | None, name: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        notified = await queue.drain(consumer)
    if as_json:
        write_json({"queue": queue.full_name, "notified": notified})
    else:
        for owner in notified:
            write_line(f"{owner} will drain")
    if not notified:
        none = f"no consumer {consumer}" if consumer else "no consumer"
        fail(f"the queue {queue.full_name} has {none}; see `./run pipeline queue show`")


def _do(act: Callable[[Queue[Message]], Awaitable[Any]], name: str | None, done: str, as_json: bool) -> None:  # noqa: FBT001
    """Do one thing to a queue, and print `done`; with `as_json` the statistics after it instead."""
    asyncio.run(_act(act, name, done, as_json=as_json))


async def _act(act: Callable[[Queue[Message]], Awaitable[Any]], name: str | None, done: str, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        await act(queue)
        if as_json:
            write_json({"queue": queue.full_name, **asdict(await queue.statistics())})
        else:
            write_line(f"the queue {queue.full_name} {done}")


def _state(seen: QueueStatistics) -> str:
    return (
        ", ".join(word for word, is_so in (("paused", seen.is_paused), ("shut down", seen.is_shut_down)) if is_so)
        or "open"
    )


def _kind(session: QueueSession) -> str:
    if session.is_draining:
        return "consumer, draining"
    return "consumer" if session.is_consumer else "other"
