"""`./run pipeline produce`: puts messages into a queue that are lines of JSON, from a file or from standard input."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

import shared.messages  # noqa: F401  # registers the message classes
from cli.listing import write_json, write_line
from cli.target import TargetError, open_server
from shared.concurrency import Queue
from shared.concurrency.queues.encoding.unique import once_of
from shared.message import Message

app = typer.Typer()

_AT_ONCE: Final = 500
_Putting = Callable[[Queue[Message], list[Message]], Awaitable[int]]
"""Puts messages, and returns how many were added."""
_AHEAD: Final = 2000
"""Lines that are read before the queue takes them."""


@app.command()
def produce(
    queue: Annotated[str, typer.Argument(help="The queue, or GROUP/NAME.", metavar="QUEUE")],
    file: Annotated[str, typer.Argument(help="A file of JSON lines; - is standard input.", metavar="FILE")] = "-",
    *,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type", help="The message class of all of them; needed where there are several.", metavar="CLASS"
        ),
    ] = None,
    unique: Annotated[
        str | None,
        typer.Option(
            help="Put each under a name, of which one message waits: the text of this field.", metavar="FIELD"
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="One replaces the one that waits under its name.")] = False,
    calm: Annotated[float | None, typer.Option(help="Seconds without another of its name, first.")] = None,
    longest: Annotated[float | None, typer.Option(help="Seconds for which --calm holds it back at most.")] = None,
    every: Annotated[float | None, typer.Option(help="Seconds in which one of a name is put.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the count as JSON.")] = False,
) -> None:
    """Put messages into a queue, one for each line of JSON; empty lines count for nothing. Waits while it is full.

    Each line is put as soon as it is read. A line that is no message ends it: it is named by its number, and the lines
    before it are in the queue. With --unique those count that were added, not those that found one of their name
    waiting. Exit code 2: that, a queue or a class that is not there, or a queue that is shut down.
    """
    kind = _class_of(type_)
    asked = {"calm": calm, "longest": longest, "every": every}
    put = _put_all if unique is None else _named(kind, unique, replace=replace, **asked)
    if unique is None and (replace or any(each is not None for each in asked.values())):
        raise typer.BadParameter("--replace, --calm, --longest and --every go with --unique", param_hint="--unique")
    asyncio.run(_produce(queue, file, kind, put, as_json=as_json))


def _class_of(name: str | None) -> type[Message]:
    known = Message.registered()
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None or name not in known:
        which = "say which" if name is None else f"there is no message class {name}"
        raise typer.BadParameter(f"{which}: {', '.join(sorted(known))}", param_hint="--type")
    return known[name]


async def _produce(name: str, file: str, kind: type[Message], put: _Putting, *, as_json: bool) -> None:
    count, number, found = 0, 0, list[Message]()
    async with open_server() as server:
        queue = await server.queue(name)
        with _opened(file) as descriptor:
            try:
                async for lines in _lines(descriptor):
                    for line in lines:
                        number += 1
                        if line.strip():
                            found.append(_message(kind, line, number))
                    count, found = count + await put(queue, found), []
            except TargetError as error:
                count += await put(queue, found)
                raise TargetError(f"{error}; {_messages(count)} before it went into the queue {name}") from None
    if as_json:
        write_json({"queue": name, "put": count})
    else:
        write_line(f"{_messages(count)} went into the queue {name}")


async def _put_all(queue: Queue[Message], messages: list[Message]) -> int:
    if messages:
        await queue.put_many(messages)
    return len(messages)


def _named(kind: type[Message], field: str, **asked: Any) -> _Putting:
    """What puts messages under the text of a field, and returns how many were added."""
    if field not in kind.model_fields:
        known = ", ".join(kind.model_fields)
        raise typer.BadParameter(f"{kind.__name__} has no field {field}: {known}", param_hint="--unique")
    try:
        once_of(**asked)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--unique") from error

    async def put(queue: Queue[Message], messages: list[Message]) -> int:
        puts = [queue.put_unique(each, str(getattr(each, field)), **asked) for each in messages]
        try:
            return sum(await asyncio.gather(*puts))
        except ValueError as error:
            raise TargetError(f"the field {field} of a message names none: {error}") from error

    return put


def _messages(count: int) -> str:
    return f"{count} message" + "s" * (count != 1)


def _message(kind: type[Message], line: bytes, number: int) -> Message:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise TargetError(f"line {number} is no {kind.__name__}: {problem}") from error


@contextmanager
def _opened(file: str) -> Iterator[int]:
    """The descriptor of a file, or of standard input, which stays open: a thread may wait for it still."""
    if file == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise TargetError(f"{file} cannot be read: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _lines(descriptor: int) -> AsyncIterator[list[bytes]]:
    """Lines as they come, as many at once as have been read meanwhile. The thread that reads ends with the process."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def read() -> None:
        begun = b""
        with suppress(RuntimeError, OSError):  # the loop or the file is closed: nobody waits for more
            while data := os.read(descriptor, 65536):
                *whole, begun = (begun + data).split(b"\n")
                for line in whole:
                    room.acquire()
                    loop.call_soon_threadsafe(lines.put_nowait, line)
            for last in (begun, None):
                loop.call_soon_threadsafe(lines.put_nowait, last)

    threading.Thread(target=read, name="produce-lines", daemon=True).start()
    is_ended = False
    while not is_ended:
        found = [await lines.get()]
        while len(found) < _AT_ONCE and not lines.empty():
            found.append(lines.get_nowait())
        room.release(len(found))
        is_ended = found[-1] is None
        yield [line for line in found if line is not None]
