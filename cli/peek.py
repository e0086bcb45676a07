"""`./run pipeline peek`: what is pending in a queue, without taking it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import typer

from cli.listing import Listing, short_time_of, time_of, write_json
from cli.reader import Reader, open_reader
from shared.concurrency.queues.encoding.entry import Stored, read
from shared.concurrency.queues.membership.keys import queue_keys

app = typer.Typer()

_AT_ONCE: Final = 10


@app.command()
def peek(
    queue: Annotated[str, typer.Argument(help="The queue, or GROUP/NAME.", metavar="QUEUE")],
    *,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, the oldest first.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object a line, with the whole body.")
    ] = False,
) -> None:
    """Show the oldest messages that are pending, without taking them: each is delivered as if nobody had looked.

    The columns: id, class, when it was put (UTC, by the server's clock), body. Exit code 2: there is no such queue.
    """
    asyncio.run(_peek(queue, count, as_json=as_json))


async def _peek(name: str, count: int, *, as_json: bool) -> None:
    listing = Listing("id", "type", "put (UTC)", "body")
    async with open_reader() as reader:
        await reader.check_queue(name)
        async for entry in _entries(reader, name, count):
            stored = _stored(entry)
            if as_json:
                write_json(_fields(entry, stored))
            elif stored is None:
                listing.add("", "unreadable", "", entry.decode(errors="replace"))
            else:
                body = stored.body.decode(errors="replace")
                listing.add(stored.id or stored.key, stored.type_name or "", short_time_of(stored.put_at), body)
    listing.end()


async def _entries(reader: Reader, name: str, count: int) -> AsyncIterator[bytes]:
    """A few at a time: each may be large. What is delivered meanwhile may be left out, or another one shown."""
    key = queue_keys(name)["pending"]
    for first in range(0, count, _AT_ONCE):
        found: list[bytes] = await reader.ask("LRANGE", key, first, min(first + _AT_ONCE, count) - 1)
        for entry in found:
            yield entry
        if len(found) < _AT_ONCE:
            return


def _stored(entry: bytes) -> Stored | None:
    try:
        return read(entry)
    except (ValueError, IndexError):
        return None


def _refuse(word: str) -> None:
    """NaN and Infinity, which Python reads and writes, are no JSON."""
    raise ValueError(f"{word} is no JSON")


def _fields(entry: bytes, stored: Stored | None) -> dict[str, Any]:
    if stored is None:
        return {"id": None, "type": None, "put_at": None, "body": None, "unreadable": entry.decode(errors="replace")}
    try:
        body = json.loads(stored.body, parse_constant=_refuse)
        json.dumps(body)  # a nesting may be read, and too deep to be written
    except (ValueError, RecursionError):
        body = stored.body.decode(errors="replace")
    return {"id": stored.id or stored.key, "type": stored.type_name, "put_at": time_of(stored.put_at), "body": body}
