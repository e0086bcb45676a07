"""Confirm: asks back before what cannot be undone, where somebody sits at a terminal."""

import sys
from typing import Annotated

import typer

from cli.listing import fail
from shared.escapes import escaped

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask back; without a terminal nothing is asked.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask at a terminal; ends the command with exit code 1 when the answer is not yes. A script is not asked."""
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(escaped(question), err=True):
        fail("nothing was changed")
