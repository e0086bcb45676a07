"""Our modules in processes of their own, without their start: see tests/instruments/prepared.py.

What the process does is what `python -m cli` or `python -m consumer` does.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.instruments.prepared import ROOT, start

__all__ = ["ROOT", "command", "environment"]


def environment(**settings: str) -> dict[str, str]:
    """Our environment for a process of the project: without what would change it, and with these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def command(
    arguments: tuple[str, ...], variables: dict[str, str], module: str = "cli"
) -> "subprocess.CompletedProcess[str]":
    """Run a module with these arguments and these environment variables, to its end; its warnings are errors."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        with out.open("wb") as to_out, err.open("wb") as to_err:
            request = {"module": module, "arguments": arguments, "variables": variables}
            code = start(request, to_out.fileno(), to_err.fileno(), strict=True).wait()
        return subprocess.CompletedProcess(
            [module, *arguments], code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )
