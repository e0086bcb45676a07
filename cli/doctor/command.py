"""The command itself: what it asks, in which order, what it prints and how it ends."""

import asyncio
import sys
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from cli.doctor.checks import CHECKS
from cli.doctor.finding import KINDS, Finding, error
from cli.doctor.patient import Patient, examined
from cli.doctor.rights import rights
from cli.listing import write_json, write_line
from cli.roles import ROLES
from shared.concurrency import ServerUnavailable
from shared.concurrency.session.server_errors import lacks
from shared.environment import resolve_redis_url
from shared.password_file import password_of
from shared.queue_settings import queue_name
from shared.settings import Settings

app = typer.Typer()


def _role(value: str | None) -> str | None:
    if value is not None and value not in ROLES:
        raise typer.BadParameter(f"is one of {', '.join(ROLES)}")
    return value


def _queue(value: str | None) -> str | None:
    try:
        return None if value is None else queue_name(value)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None


@app.command()
def doctor(
    *,
    role: Annotated[
        str | None,
        typer.Option(
            help=f"What this user is to work as: {', '.join(ROLES)}. Without it: as any of them.",
            callback=_role,
            metavar="ROLE",
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(help="On whose keys; without it PIPELINE_QUEUE.", callback=_queue, metavar="NAME"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with the server for us, and what to do: docs/servers.md lists what is looked at.

    It changes nothing. Exit code 1: there are errors, which break a promise or keep a service from its work; warnings
    and what could not be checked do not count.
    """  # fmt: skip
    findings = asyncio.run(_findings(role, queue))
    if as_json:
        write_json({"findings": [asdict(each) for each in findings]})
    else:
        _print(findings)
    if any(each.kind == "error" for each in findings):
        raise typer.Exit(1)


async def _findings(role: str | None, queue: str | None) -> list[Finding]:
    settings = Settings.load()
    try:
        async with examined(resolve_redis_url(settings), password_of(settings)) as patient:
            found = [*_checked(patient), *await rights(patient, role, queue or settings.queue)]
    except ServerUnavailable as problem:
        lacking = lacks(problem.__cause__) if isinstance(problem.__cause__, Exception) else None
        if lacking is None:
            raise
        found = [error("protocol", str(lacking), "use a server or proxy that speaks RESP3")]
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def _checked(patient: Patient) -> list[Finding]:
    return [finding for check in CHECKS for finding in check(patient)]


def _print(findings: list[Finding]) -> None:
    for each in findings:
        write_line(f"{each.kind}: {each.about}: {each.text}")
        write_line(f"  do: {each.fix}")
    counts = Counter(each.kind for each in findings)
    words = {"error": "errors", "warning": "warnings", "unchecked": "not checked"}
    write_line(", ".join(f"{counts[kind]} {words[kind]}" for kind in KINDS if counts[kind]) or "nothing is wrong")
    sys.stdout.flush()
