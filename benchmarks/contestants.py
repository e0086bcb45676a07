"""Contestants: this project, the bare limit and the peers, each peer in an environment of its own."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import BARE_SCRIPTS, SLOTS
from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parent.parent
_PEERS: Final = ROOT / "benchmarks" / "peers"
_LEAST: Final = (3, 12)
# Packages whose name differs from that of their adapter.
_PACKAGES: Final = {"redis_py": "redis", "python_redis_lock": "python-redis-lock"}


class BenchmarkError(Exception):
    """Something cannot be measured; the message says what to do."""


@dataclass(frozen=True)
class Contestant:
    """One queue, and the Python of its environment."""

    name: str
    adapter: str
    python: Path
    version: str
    is_peer: bool = True
    root: Path = ROOT
    """The checkout that it runs in, with its own benchmark code and its own engine."""


def us() -> list[Contestant]:
    """Return this project and the bare limit."""
    python = Path(sys.executable)
    return [
        Contestant("ours", "benchmarks.ours", python, VERSION, is_peer=False),
        Contestant("bare list", "benchmarks.bare", python, "", is_peer=False),
    ]


def slots() -> Contestant:
    """Return the limit of a worker without a queue."""
    return Contestant(SLOTS, "benchmarks.slots", Path(sys.executable), "", is_peer=False)


def scripts() -> Contestant:
    """Return the limit of a put alone: its script and nothing around it."""
    return Contestant(BARE_SCRIPTS, "benchmarks.scripts", Path(sys.executable), "", is_peer=False)


def names(folder: Path = _PEERS) -> list[str]:
    """Return the names of all peers."""
    return list(tomllib.loads((folder / "requirements.toml").read_text()))


def peers(wanted: Iterable[str], folder: Path = _PEERS) -> list[Contestant]:
    """Prepare the environments of these peers; `folder`: where their adapters and lock files are.

    :raises BenchmarkError: when there is no such peer, no Python for it, or its environment cannot be created.
    """
    unknown = set(wanted) - set(names(folder))
    if unknown:
        raise BenchmarkError(f"no peer is called {', '.join(sorted(unknown))}: there are {', '.join(names(folder))}")
    return [_peer(name, folder) for name in wanted]


def _peer(name: str, peers_folder: Path) -> Contestant:
    place = peers_folder.relative_to(ROOT)
    folder, lock = f".venv-bench-{name}", f"{place}/{name}.lock"
    python = _python()
    done = subprocess.run([python, "-I", ROOT / "tools" / "environment.py", folder, lock], check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the environment of {name} could not be created")
    module = ".".join((*place.parts, name))
    return Contestant(name, module, ROOT / folder / "bin" / "python", _locked_version(ROOT / lock))


def _locked_version(lock: Path) -> str:
    package = _PACKAGES.get(lock.stem, lock.stem)
    return next(
        line.split("==")[1].split()[0] for line in lock.read_text().splitlines() if line.startswith(f"{package}==")
    )


def _python() -> str:
    """Return a Python that suits all peers; some need a later one than this project."""
    for name in (os.environ.get("BENCH_PYTHON"), sys.executable, "python3.14", "python3.13", "python3.12"):
        found = shutil.which(name) if name else None
        if found and _is_recent(found):
            return found
    raise BenchmarkError("the peers need Python 3.12 or later: install one, or name it with BENCH_PYTHON=...")


def _is_recent(python: str) -> bool:
    code = f"import sys; sys.exit(sys.version_info < {_LEAST})"
    return subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, check=False).returncode == 0
