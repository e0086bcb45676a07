"""`./run pipeline dead`: reads, puts back and deletes the dead letters of a queue."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from cli.confirm import Yes, confirm
from cli.letter import body_of, cells_of, fields_of, text_of
from cli.listing import Listing, fail, write_json, write_line
from cli.target import open_server
from shared.concurrency import Replayed, Selection

app = typer.Typer(
    name="dead",
    no_args_is_help=True,
    help="Read, put back and delete dead letters: messages that spent their attempts, or cannot be read.",
)

OfQueue = Annotated[
    str | None, typer.Option("--queue", help="The queue, or GROUP/NAME; without it PIPELINE_QUEUE.", metavar="NAME")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else.")]
Type = Annotated[str | None, typer.Option("--type", help="Those of this message class.", metavar="CLASS")]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Those with this reason: failed, crashed, shutdown, invalid, ... as `list` shows it."
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="The one with this id or key; the option can be repeated.", metavar="ID"),
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
def list_(
    *,
    id_: Annotated[str | None, typer.Option("--id", help="Those with this id or key.", metavar="ID")] = None,
    type_: Type = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest first: a table on a terminal, else a line of headings and one for each.

    The columns: id, class, reason, attempts, when it was put, when it died (UTC, by the server's clock), error.
    Several options together list the letters that match all of them.
    """
    asyncio.run(_list(_selection(id_, type_, reason), limit, queue, as_json=as_json))


async def _list(selection: Selection, limit: int, queue: str | None, *, as_json: bool) -> None:
    listing = Listing("id", "type", "reason", "attempts", "put (UTC)", "died (UTC)", "error", right=("attempts",))
    async with (
        open_server() as server,
        aclosing((await server.queue(queue)).letters.find(selection, limit)) as letters,
    ):
        async for letter in letters:
            if as_json:
                write_json(fields_of(letter))
            else:
                listing.add(*cells_of(letter))
    listing.end()


@app.command()
def show(
    *,
    id_: Annotated[str, typer.Argument(help="The id or the key of the message, as `list` shows it.", metavar="ID")],
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about a dead letter, with its body; if several have this id, all of them.

    A body that is not JSON is shown in base64. Exit code 1: there is no such dead letter.
    """
    asyncio.run(_show(_selection(id_, None, None), queue, as_json=as_json))


async def _show(selection: Selection, queue: str | None, *, as_json: bool) -> None:
    found = 0
    async with open_server() as server, aclosing((await server.queue(queue)).letters.find(selection)) as letters:
        async for letter in letters:
            if as_json:
                write_json(fields_of(letter) | body_of(letter))
            else:
                if found:
                    write_line("")
                for line in text_of(letter):
                    write_line(line)
            found += 1
    if not found:
        fail(f"there is no dead letter {selection.id}")


@app.command()
def replay(
    *,
    ids: Ids = None,
    type_: Type = None,
    reason: Reason = None,
    every: All = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back into the queue, the oldest first, while there is room. Their counts are reset.

    Choose by one of --id, --type, --reason, --all. One script removes the letter and puts its message into the queue,
    so an interrupted replay can be repeated. Exit code 1: some stayed, or an id was not found.
    """
    asyncio.run(_replay(_one_choice(ids, type_, reason, every=every), queue, as_json=as_json))


async def _replay(selections: list[Selection], queue: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        letters = (await server.queue(queue)).letters
        outcomes = [await letters.replay(selection) for selection in selections]
    went, stayed = sum(each.replayed for each in outcomes), sum(each.stayed for each in outcomes)
    why = {
        "no_room": sum(each.no_room for each in outcomes),
        "shut_down": sum(each.shut_down for each in outcomes),
        "unreadable": sum(each.unreadable for each in outcomes),
    }
    unknown = [
        selection.id or ""
        for selection, each in zip(selections, outcomes, strict=True)
        if selection.id and each == Replayed()
    ]
    if as_json:
        write_json({"replayed": went, "stayed": stayed, **why, "unknown_ids": unknown})
    else:
        write_line(f"{_letters(went)} went back into the queue, {stayed} stayed")
        for word, count in why.items():
            if count:
                write_line(f"  {count}: {_WHY[word]}")
    _end(unknown, stayed)


_WHY = {
    "no_room": "there is no room; repeat the command when the queue has drained, or see `./run pipeline queue resize`",
    "shut_down": "the queue is shut down; see `./run pipeline queue reopen`",
    "unreadable": "they are not messages that can be delivered; see `./run pipeline dead show`",
}


@app.command()
def discard(
    *,
    ids: Ids = None,
    type_: Type = None,
    reason: Reason = None,
    every: All = False,
    yes: Yes = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters for good. With --all it asks back at a terminal.

    Choose by one of --id, --type, --reason, --all. Exit code 1: an id was not found, or it was not confirmed.
    """
    selections = _one_choice(ids, type_, reason, every=every)
    if every:
        confirm("Delete all dead letters of the queue for good?", yes=yes)
    asyncio.run(_discard(selections, queue, as_json=as_json))


async def _discard(selections: list[Selection], queue: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        letters = (await server.queue(queue)).letters
        counts = [await letters.discard(selection) for selection in selections]
    unknown = [
        selection.id or "" for selection, count in zip(selections, counts, strict=True) if selection.id and not count
    ]
    if as_json:
        write_json({"discarded": sum(counts), "unknown_ids": unknown})
    else:
        write_line(f"{_letters(sum(counts))} deleted")
    _end(unknown, 0)


def _selection(id_: str | None, type_: str | None, reason: str | None) -> Selection:
    for option, value in (("an id", id_), ("--type", type_), ("--reason", reason)):
        if value == "":
            raise typer.BadParameter(f"{option} must not be empty")
    return Selection(id=id_, type=type_, reason=reason)


def _one_choice(ids: list[str] | None, type_: str | None, reason: str | None, *, every: bool) -> list[Selection]:
    """Return what to work on. Exactly one kind of choice, so that a slip never reaches more than was meant."""
    if [bool(ids), type_ is not None, reason is not None, every].count(True) != 1:
        raise typer.BadParameter("choose by exactly one of --id (once or more), --type, --reason, --all")
    return [_selection(id_, None, None) for id_ in dict.fromkeys(ids or ())] or [_selection(None, type_, reason)]


def _letters(count: int) -> str:
    return f"{count} dead letter" + "s" * (count != 1)


def _end(unknown: list[str], stayed: int) -> None:
    if unknown:
        fail(f"there is no dead letter {', '.join(unknown)}")
    if stayed:
        raise typer.Exit(1)
