"""`./run pipeline queue cancel`: cancels one message."""

import asyncio
from typing import Annotated, Final

import typer

from cli.listing import fail, write_json, write_line
from cli.queue import AsJson, OfQueue
from cli.target import open_server
from shared.concurrency import Cancellation
from shared.concurrency.checks import LONGEST

_OUTCOMES: Final = {
    Cancellation.REMOVED: "is removed: it will not be handled",
    Cancellation.STOPPED: "was being handled: its handler was stopped",
    Cancellation.FINISHED: "had ended already",
    Cancellation.ASKED: "is marked: it does not begin again, and whoever has it in hands is notified",
}


def cancel(
    message: Annotated[str, typer.Argument(help="The id of the message, or its key.", metavar="ID")],
    *,
    timeout: Annotated[
        float, typer.Option(min=0, max=LONGEST, help="Seconds to wait for whoever has the message in hands.")
    ] = 5.0,
    unique: Annotated[
        bool, typer.Option("--unique", help="ID is a name of put_unique: cancel what waits under it.")
    ] = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a message in any state: it never begins again, and is stopped where it runs.

    A handler on the loop is cancelled where it waits, one in a process is killed; one in a thread goes on, and its
    result is dropped. Prints what became of the message: removed, stopped, finished (it had ended already), or asked
    (marked, with an outcome later than --timeout). Exit code 1: no such message, or it is a dead letter.
    """
    asyncio.run(_cancel(message, timeout, queue, unique=unique, as_json=as_json))


async def _cancel(message: str, patience: float, name: str | None, *, unique: bool, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        try:
            cancelling = queue.cancel_unique if unique else queue.cancel
            outcome = await cancelling(message, timeout=patience)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if as_json:
        write_json({"queue": queue.full_name, "id": message, "outcome": outcome.value})
    elif outcome in _OUTCOMES:
        write_line(f"{outcome.value}: the message {message} {_OUTCOMES[outcome]}")
    if outcome is Cancellation.UNKNOWN:
        fail(
            f"the queue {queue.full_name} knows no message {message}; a dead letter is discarded by `./run pipeline dead`"
        )
