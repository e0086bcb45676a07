"""Completion: what a shell may offer behind `./run pipeline` and `./run demo`, by what typer knows of their commands.

`./run completion SHELL` prints what switches it on; that asks `./run completion --words WORD...`, which comes here.
"""

import os
import shlex
from typing import Final

import typer
from typer.completion import get_completion_inspect_parameters

VARIABLE: Final = "_RUN_COMPLETE"
"""Set where a shell asks: the words so far, one a line; the last one is not whole yet."""


def offer(app: typer.Typer) -> bool:
    """Print what may come next, with a tab and its help behind, one a line; False where no shell asks."""
    if VARIABLE not in os.environ:
        return False
    words = os.environ.pop(VARIABLE).split("\n")
    # As fish is answered: one word a line, with its help, which the scripts of the other shells cut off or show.
    os.environ[VARIABLE] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = " ".join(["run", *map(shlex.quote, words[:-1]), words[-1]])
    get_completion_inspect_parameters()  # registers the shells
    app(prog_name="run", complete_var=VARIABLE)
    return True
