"""How long a command waits for its server, and what it reports meanwhile."""

import logging
import sys
from typing import Final

PATIENCE: Final = 3.0
"""Seconds until a command gives up. A service waits longer: its server may be starting beside it."""


def report_that_it_waits(command: str) -> None:
    """Show the warning that no server answers yet, which comes after a second, as one line of this command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{command}: %(message)s"))
    start = logging.getLogger("weir.start")
    start.handlers = [handler]
    start.propagate = False
    start.setLevel(logging.WARNING)
