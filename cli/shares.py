"""`./run pipeline queue weigh` and `./run pipeline queue shares`: who gets turns, and who has most."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from cli.listing import Listing, write_json, write_line
from cli.queue import AsJson, OfQueue
from cli.target import open_server
from shared.concurrency.queues.shares import MOST_SHARES


def weigh(
    share: Annotated[str, typer.Argument(help="The share, as its messages are put with it.", metavar="SHARE")],
    weight: Annotated[
        float, typer.Argument(help="Its turns for each of another share, 0.001 to 1000; 1 is usual.", metavar="WEIGHT")
    ],
    *,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Give a share of a queue more turns than others, or fewer. Stored with the queue; `shares` shows them."""
    try:
        asyncio.run(_weigh(share, weight, queue, as_json=as_json))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


async def _weigh(share: str, weight: float, name: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(name)
        await queue.weigh(share, weight)
    if as_json:
        write_json({"queue": queue.full_name, "share": share, "weight": weight})
    else:
        write_line(f"the queue {queue.full_name} gives {share} {weight:g} turns for each of another share")


def shares(
    *,
    most: Annotated[int, typer.Option(min=1, max=MOST_SHARES, help="Shares at most.")] = 20,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """List the shares that have most in a queue and in the line before it. The figures are about right."""
    asyncio.run(_shares(most, queue, as_json=as_json))


async def _shares(most: int, name: str | None, *, as_json: bool) -> None:
    counts = ("pending", "puts waiting", "weight")
    listing = Listing("share", "priority", *counts, right=counts)
    async with open_server() as server:
        queue = await server.queue(name)
        found = await queue.shares(most)
    for each in found:
        if as_json:
            write_json({"queue": queue.full_name, **asdict(each)})
        else:
            listing.add(
                each.share or "", each.priority.name.lower(), each.pending, each.puts_waiting, f"{each.weight:g}"
            )
    listing.end()
