"""`pipeline queue`: what a queue looks like, and what an operator does to it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.listing import Listing, harmless, write_json
from cli.target import open_server
from shared.concurrency import ConcurrencyError, Queue, QueueSession, QueueStatistics
from shared.concurrency.session.session import process_of
from shared.message import Message

app = typer.Typer(
    name="queue",
    no_args_is_help=True,
    help="Look at queues and operate them: pause, resume, resize, drain consumers, shut down, reopen.",
)

OfQueue = Annotated[
    str | None, typer.Option("--queue", help="The queue, or GROUP/NAME; without it PIPELINE_QUEUE.", metavar="NAME")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else.")]


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the queues at the server: a table on a terminal, else a line each: pending, leased, delayed, dead, state.

    The state is open, paused, shut down, or both. Exit code 1: one of them cannot be read.
    """
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    counts = ("pending", "leased", "delayed", "dead")
    listing = Listing("queue", *counts, "state", right=counts)
    problems = []
    async with open_server() as server:
        for name in await server.queues():
            try:
                seen = await server.statistics(name)
            except ConcurrencyError as error:  # one spoilt queue must not hide the others
                problems.append(f"{name}: {error}")
                continue
            if as_json:
                write_json({"queue": name, **asdict(seen)})
            else:
                listing.add(name, *(getattr(seen, word) for word in counts), _state(seen))
    listing.end()
    for problem in problems:
        sys.stderr.write(f"pipeline: {harmless(problem)}\n")
    if problems:
        raise typer.Exit(1)


@app.command()
def show(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """Show the counts of a queue, and its sessions: who, which process, what it holds, seconds until its deadline.

    A consumer is a session of a consumer service, which `drain` reaches; 0.0 seconds: it is over, and about to be
    recovered.
    """
    asyncio.run(_show(queue, as_json=as_json))


async def _show(name: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        seen = await queue.statistics()
        sessions = [each for each in await queue.sessions() if each.owner != process_of(server.session).owner]
    if as_json:
        write_json({"queue": queue.full_name, **asdict(seen), "sessions": [asdict(each) for each in sessions]})
        return
    _say(f"queue: {queue.full_name}")
    _say(f"state: {_state(seen)}")
    for word, value in asdict(seen).items():
        if not word.startswith("is_"):
            shown = value if word != "maxsize" or value else "no bound"
            _say(f"{word.replace('_', ' ')}: {shown}")
    if sessions:
        _say("")
    listing = Listing("session", "held", "seconds left", "what", "pid", "host", right=("held", "seconds left", "pid"))
    for each in sessions:
        listing.add(each.owner, each.held, f"{each.seconds_left:.1f}", _kind(each), each.pid or "", each.host)
    listing.end()


@app.command()
def pause(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """Hand out nothing until `resume`; puts go in while there is room, what is in hands is finished as ever."""
    _do(lambda there: there.pause(), queue, "is paused: nothing is handed out until `pipeline queue resume`", as_json)


@app.command()
def resume(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """End a pause; whoever waits is woken."""
    _do(lambda there: there.resume(), queue, "hands out again", as_json)


@app.command()
def resize(
    maxsize: Annotated[
        int, typer.Argument(min=0, max=10_000_000, help="Messages pending at most; 0 for no bound.", metavar="MAXSIZE")
    ],
    *,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Change the bound while all goes on. After a shrink nothing enters until there is room."""
    bound = f"takes {maxsize} pending messages at most" if maxsize else "has no bound"
    _do(lambda there: there.resize(maxsize), queue, bound, as_json)


@app.command()
def shutdown(
    *,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Make dead letters of all that waits for delivery.")
    ] = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Refuse puts, waiting ones too; consumers end once all is done. A queue that is paused must be resumed for that.

    With --immediate nothing more is handed out, and nothing is dropped: see `pipeline dead`.
    """
    done = (
        "is shut down; what waited is in `pipeline dead list`"
        if immediate
        else "is shut down: no put enters, what is in it is handed out still"
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
    """Tell a consumer service, or all, to drain as SIGTERM does: take no more, finish, give back, end with exit code 0.

    It is told, and not waited for: `show` says who is there still. Who is cut off or busy hears of it later. What
    restarts it however it ended brings it back at once: `restart: unless-stopped` or `always` in Compose; `on-failure`,
    which docker-compose.yml has, lets it be. Exit code 1: there was nobody to tell.
    """
    if (consumer is None) == (not every):
        raise typer.BadParameter("name one consumer (`pipeline queue show` lists them), or say --all")
    if consumer == "":
        raise typer.BadParameter("a consumer's name may not be empty")
    asyncio.run(_drain(consumer, queue, as_json=as_json))


async def _drain(consumer: str | None, name: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        told = await queue.drain(consumer)
    if as_json:
        write_json({"queue": queue.full_name, "told": told})
    else:
        for owner in told:
            _say(f"{owner} was told to drain")
    if not told:
        nobody = f"no consumer {consumer}" if consumer else "no consumer"
        sys.stderr.write(f"pipeline: the queue {queue.full_name} has {harmless(nobody)}; see `pipeline queue show`\n")
        raise typer.Exit(1)


def _do(act: Callable[[Queue[Message]], Awaitable[Any]], name: str | None, done: str, as_json: bool) -> None:  # noqa: FBT001
    """Do one thing to a queue, and say so; as JSON the queue as it is then."""
    asyncio.run(_act(act, name, done, as_json=as_json))


async def _act(act: Callable[[Queue[Message]], Awaitable[Any]], name: str | None, done: str, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        await act(queue)
        if as_json:
            write_json({"queue": queue.full_name, **asdict(await queue.statistics())})
        else:
            _say(f"the queue {queue.full_name} {done}")


def _state(seen: QueueStatistics) -> str:
    return (
        ", ".join(word for word, is_so in (("paused", seen.is_paused), ("shut down", seen.is_shut_down)) if is_so)
        or "open"
    )


def _kind(session: QueueSession) -> str:
    if session.is_draining:
        return "consumer, told to drain"
    return "consumer" if session.is_consumer else "other"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
