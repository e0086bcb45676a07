"""`./run pipeline lease`: shows who holds locks, semaphores and readers-writers leases, and takes them away."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.listing import Listing, fail, short_time_of, time_of, write_json, write_line
from cli.target import open_server
from shared.concurrency import ConcurrencyError, Holder, LeaseStatistics
from shared.escapes import escaped

app = typer.Typer(
    name="lease",
    no_args_is_help=True,
    help="Show who holds locks, semaphores and readers-writers leases and who waits for them; take one away.",
)

Name = Annotated[str, typer.Argument(help="The name of the lease, as `list` shows it.", metavar="NAME")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else.")]


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the leases that somebody holds or waits for: a table on a terminal, else headings and a line for each.

    The columns: name, kind, holders, waiters, and who has held it longest: process id, host, since when (UTC, by the
    server's clock). The kind is lock, semaphore, or the policy of a readers-writers lease. Exit code 1: one of them
    cannot be read.
    """
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    counts = ("holders", "waiters")
    listing = Listing("lease", "kind", *counts, "pid", "host", "since (UTC)", right=(*counts, "pid"))
    problems = []
    async with open_server() as server:
        for name in await server.leases():
            try:
                seen = await server.lease(name).statistics()
            except ConcurrencyError as error:  # one spoilt lease must not hide the others
                problems.append(f"{name}: {error}")
                continue
            if not (seen.holders or seen.waiters):
                continue
            if as_json:
                write_json(_fields(name, seen))
            else:
                listing.add(name, seen.kind, len(seen.holders), len(seen.waiters), *_longest(seen.holders))
    listing.end()
    if problems:
        fail(*problems)


@app.command()
def show(*, name: Name, as_json: AsJson = False) -> None:
    """Show who holds a lease, the oldest first, and who waits for it, in order.

    For each holder: its token, what it may, process id, host, task, since when, and seconds until it has to be renewed.
    Exit code 1: nobody holds it, and nobody waits for it.
    """
    asyncio.run(_show(name, as_json=as_json))


async def _show(name: str, *, as_json: bool) -> None:
    async with open_server() as server:
        seen = await server.lease(name).statistics()
    if not (seen.holders or seen.waiters):
        fail(f"nobody holds the lease {name}, and nobody waits for it")
    if as_json:
        write_json(_fields(name, seen))
        return
    write_line(f"lease: {name}")
    write_line(f"kind: {seen.kind}" + (f" of {seen.limit}" if seen.limit else ""))
    _list_holders(seen.holders)
    for waiter in seen.waiters:
        write_line(f"waits: {waiter.owner} ({waiter.mode})")


@app.command("break")
def break_(
    *,
    name: Name,
    tokens: Annotated[
        list[int] | None,
        typer.Option("--token", help="Only the hold with this token; the option can be repeated.", metavar="TOKEN"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a lease away from those who hold it, and give it to those who wait. Says whom it robs, and asks back.

    Their bodies are cancelled with LeaseLost as soon as their processes are notified; one that is cut off or blocked
    goes on meanwhile, and only the token protects what it writes to. Exit code 1: it is not held, or not confirmed.
    """
    if as_json and not yes:
        raise typer.BadParameter("--json asks nothing back: give --yes too")
    robbed = asyncio.run(_holders(name, tokens or []))
    if not as_json:
        _list_holders(robbed)
    # Without a connection: somebody may think for long, and an interrupt must end it.
    if not yes and not typer.confirm(f"Take {escaped(name)} away from {_count(robbed)}?"):
        fail("nothing was changed")
    # Those that were shown, whoever has come in since.
    ended = asyncio.run(_end(name, [one.hold for one in robbed]))
    if as_json:
        write_json({"lease": name, "broken": [_of_holder(one) for one in robbed if one.hold in ended]})
    else:
        write_line(f"{name} was taken away from {_count(ended)}")
    if len(ended) < len(robbed):
        fail(f"{len(robbed) - len(ended)} of them had given it back meanwhile, or lost it")


async def _holders(name: str, tokens: list[int]) -> list[Holder]:
    """Those who hold it, or those of them with these tokens."""
    async with open_server() as server:
        holders = (await server.lease(name).statistics()).holders
    found = [one for one in holders if not tokens or one.token in tokens]
    unknown = [str(token) for token in tokens if token not in {one.token for one in found}]
    if unknown or not found:
        fail(f"nobody holds the lease {name}" + (f" with the token {', '.join(unknown)}" if unknown else ""))
    return found


async def _end(name: str, holds: list[str]) -> set[str]:
    async with open_server() as server:
        return set(await server.lease(name).end(holds))


def _list_holders(holders: Sequence[Holder]) -> None:
    right = ("pid", "seconds left")
    listing = Listing("token", "mode", "pid", "host", "task", "since (UTC)", "seconds left", "owner", right=right)
    for one in sorted(holders, key=lambda one: one.since):
        left = f"{one.seconds_left:.1f}"
        listing.add(one.token, one.mode, one.pid or "", one.host, one.task, short_time_of(one.since), left, one.owner)
    listing.end()


def _longest(holders: Sequence[Holder]) -> tuple[Any, ...]:
    if not holders:
        return "", "", ""
    first = min(holders, key=lambda one: one.since)
    return first.pid or "", first.host, short_time_of(first.since)


def _fields(name: str, seen: LeaseStatistics) -> dict[str, Any]:
    waiters = [asdict(waiter) for waiter in seen.waiters]
    holders = [_of_holder(one) for one in seen.holders]
    return {"lease": name, "kind": seen.kind, "limit": seen.limit, "holders": holders, "waiters": waiters}


def _of_holder(holder: Holder) -> dict[str, Any]:
    return asdict(holder) | {"since": time_of(holder.since)}


def _count(holders: Collection[object]) -> str:
    return f"{len(holders)} holder" + "s" * (len(holders) != 1)
