"""`./run pipeline acl`: prints the user that a service needs at the server."""

import secrets
import sys
from typing import Annotated

import typer

from cli.roles import ROLES
from shared.queue_settings import queue_name

app = typer.Typer()


def _role(value: str) -> str:
    if value not in ROLES:
        raise typer.BadParameter(f"is one of {', '.join(ROLES)}")
    return value


def _user(value: str | None) -> str | None:
    if value is not None and (not value or any(character.isspace() or character == "\0" for character in value)):
        raise typer.BadParameter("the name of a user has no spaces")
    return value


def _word(values: list[str] | None) -> list[str]:
    for value in values or []:
        if not value or any(character.isspace() for character in value):
            raise typer.BadParameter("has no spaces")
    return values or []


def _queues(values: list[str] | None) -> list[str]:
    try:
        return [queue_name(value) for value in values or []]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def acl(
    *,
    role: Annotated[str, typer.Option(help=f"What it works as: {', '.join(ROLES)}.", callback=_role, metavar="ROLE")],
    user: Annotated[
        str | None,
        typer.Option(help="The user's name.", callback=_user, metavar="NAME", show_default="weir-ROLE"),
    ] = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this queue, or GROUP/NAME; can be repeated. Without it all of them.",
            callback=_queues,
            metavar="NAME",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="A pattern of further keys, as '{catalog}:*'; can be repeated.", callback=_word, metavar="PATTERN"
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A command that your own code calls by `pipeline.redis`; can be repeated.",
            callback=_word,
            metavar="COMMAND",
        ),
    ] = None,
    password: Annotated[
        bool, typer.Option(help="Give it a new password; --no-password leaves those that it has.")
    ] = True,
) -> None:
    """Print the ACL SETUSER line of a user who may do the work of one role, and no more than that needs.

    Ask no server. The commands are those that the scripts call: print it again after an upgrade, with --no-password, or
    with a queue more. docs/servers.md says what an ACL does not restrict. Pipe it to redis-cli or valkey-cli.
    """
    words = ["ACL", "SETUSER", user or f"weir-{role}"]
    if password:
        words.append(f">{secrets.token_urlsafe(24)}")
    sys.stdout.write(" ".join([*words, *ROLES[role].rules(queue or [], key or [], allow or [])]) + "\n")
    if password:
        sys.stderr.write("pipeline: its password stands behind > and is nowhere else: keep it\n")
