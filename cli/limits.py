"""`./run pipeline queue limit` and `./run pipeline queue limits`: how many at once, and how often."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from cli.listing import Listing, write_json, write_line
from cli.queue import AsJson, OfQueue
from cli.target import open_server
from shared.concurrency import QueueLimit, Rate

_EVERY_SHARE = "(each share)"


def limit(
    name: Annotated[
        str | None, typer.Argument(help="The limit, as messages are put with it.", metavar="LIMIT", show_default=False)
    ] = None,
    *,
    at_once: Annotated[int | None, typer.Option(min=1, help="So many in hands at most.", show_default=False)] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="So many in so many seconds: 100/60; 5 is 5/1.", metavar="COUNT/SECONDS", show_default=False),
    ] = None,
    burst: Annotated[int, typer.Option(min=1, help="Of the rate, so many at once after a rest.")] = 1,
    each_share: Annotated[bool, typer.Option("--each-share", help="Limit each share alike; without LIMIT.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="End the limit.")] = False,
    queue: OfQueue = None,
    as_json: AsJson = False,
) -> None:
    """Limit messages of a queue, or lift the limit. Stored with the queue, and changed while it is used."""
    if (name is None) is not each_share:
        raise typer.BadParameter("name one LIMIT, or --each-share")
    if lift is not (at_once is None and rate is None):
        raise typer.BadParameter("say --at-once or --rate or both; or --lift alone")
    try:
        asyncio.run(_limit(name, at_once, _read_rate(rate, burst), queue, as_json=as_json))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _read_rate(text: str | None, burst: int) -> Rate | None:
    if text is None:
        return None
    count, _, per = text.partition("/")
    try:
        wanted = int(count), float(per or 1)
    except ValueError:
        raise ValueError(f"a rate is COUNT/SECONDS, as 100/60, and not {text!r}") from None
    return Rate(wanted[0], per=wanted[1], burst=burst)


async def _limit(name: str | None, at_once: int | None, rate: Rate | None, of: str | None, *, as_json: bool) -> None:
    async with open_server() as server:
        queue = await server.queue(of)
        if name is None:
            await queue.limit_shares(at_once=at_once, rate=rate)
        else:
            await queue.limit(name, at_once=at_once, rate=rate)
    if as_json:
        write_json({"queue": queue.full_name, "limit": name, "at_once": at_once, "rate": rate and asdict(rate)})
    elif at_once is None and rate is None:
        write_line(f"the queue {queue.full_name} has no limit {name or _EVERY_SHARE} any more")
    else:
        numbers = [f"{at_once} at once"] if at_once is not None else []
        numbers += [_shown(rate)] if rate is not None else []
        write_line(f"the queue {queue.full_name} limits {name or _EVERY_SHARE} to {', '.join(numbers)}")


def _shown(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.count}/{rate.per:g}s burst {rate.burst}"


def limits(*, queue: OfQueue = None, as_json: AsJson = False) -> None:
    """List the limits of a queue, what of each is in hands, and what waits."""
    asyncio.run(_limits(queue, as_json=as_json))


async def _limits(of: str | None, *, as_json: bool) -> None:
    right = ("at once", "running", "waiting", "puts waiting", "opens in")
    listing = Listing("limit", "rate", *right, right=right)
    async with open_server() as server:
        queue = await server.queue(of)
        found = await queue.limits()
    for each in found:
        if as_json:
            write_json({"queue": queue.full_name, **asdict(each)})
        else:
            listing.add(*_row(each))
    listing.end()


def _row(limit: QueueLimit) -> tuple[object, ...]:
    opens = "" if limit.opens_in is None else f"{limit.opens_in:.1f}s"
    at_once = "" if limit.at_once is None else limit.at_once
    name = _EVERY_SHARE if limit.name is None else limit.name
    return name, _shown(limit.rate), at_once, limit.running, limit.waiting, limit.puts_waiting, opens
