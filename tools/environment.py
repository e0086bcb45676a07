"""Prepares a virtual environment from hash-pinned lock files. Standard library only: it runs before anything is there.

`environment.py FOLDER LOCK...`: afterwards FOLDER (in the project's root) holds exactly what the last LOCK lists; each
LOCK lists all that the one before it does. With `--current` nothing changes: exit code 0 means that FOLDER is complete,
1 that it is not.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class SetupError(Exception):
    """The message says what went wrong and what to do, in one line."""


def fingerprint(lock: Path) -> str:
    """Return the line of the stamp for a lock file: its name, a hash of its content and the Python it is for."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return f"{lock.name} {digest} {sys.implementation.cache_tag}"


def installed(venv: Path) -> list[str]:
    """Return the fingerprints that were installed completely.

    There are none in a new environment, after an interrupted set-up, and when its Python is missing.
    """
    stamp = venv / ".weir"
    usable = stamp.is_file() and os.access(venv / "bin" / "python", os.X_OK)
    return stamp.read_text().splitlines() if usable else []


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the project's set-up lock: two terminals may start at once. The system releases it with the process."""
    (ROOT / ".run").mkdir(exist_ok=True)
    with (ROOT / ".run" / f"setup{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list[str], **extra: str) -> None:
    """Run a command quietly; show its output when it fails. Raises SetupError."""
    done = subprocess.run(command, env=os.environ | extra, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SetupError(
            f"setup failed (output of {Path(command[0]).name} {command[1]} above); ./run setup tries again"
        )


def create(venv: Path, uv: str | None) -> None:
    """Create the environment afresh: what an interrupted set-up left behind is never trusted."""
    if venv.is_symlink() or (venv.exists() and not (venv / "pyvenv.cfg").is_file() and any(venv.iterdir())):
        raise SetupError(f"{venv} is not an environment made by ./run: move it away")
    if uv:
        run([uv, "venv", "--quiet", "--clear", "--no-config", "--python", sys.executable, str(venv)])
    else:
        run([sys.executable, "-m", "venv", "--clear", str(venv)])


def install(venv: Path, lock: Path, uv: str | None) -> None:
    """Install every line of a lock file. The file is complete, so nothing is resolved: `--no-deps`."""
    python = str(venv / "bin" / "python")
    if uv:
        pip, quiet = [uv, "pip", "install", "--no-config", "--python", python], "--quiet"
    else:
        pip, quiet = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"], "--quiet"
    run([*pip, quiet, "--no-deps", "--require-hashes", "-r", str(lock)], PIP_ROOT_USER_ACTION="ignore")


def prepare(venv: Path, locks: list[Path], uv: str | None) -> None:
    """Bring the environment to what the last lock file lists, starting from what is known to be complete."""
    wanted = [fingerprint(lock) for lock in locks]
    have = installed(venv)
    if wanted[-1] in have:
        return
    sys.stderr.write(
        f"preparing {venv.name}: downloading what {locks[-1].name} lists, once; this may take a minute ...\n"
    )
    extends = bool(have) and have[-1] in wanted
    # The stamp goes first and comes last: a set-up that is killed in between starts over.
    (venv / ".weir").unlink(missing_ok=True)
    if not extends:
        create(venv, uv)
    install(venv, locks[-1], uv)
    (venv / ".weir").write_text("\n".join(wanted) + "\n")


def prepare_somehow(venv: Path, locks: list[Path]) -> None:
    """Prepare with uv; without it, or when it fails, with venv and pip. Raises SetupError."""
    uv = shutil.which("uv")
    if uv:
        try:
            prepare(venv, locks, uv)
        except SetupError:
            sys.stderr.write("uv failed; trying venv and pip\n")
        else:
            return
    prepare(venv, locks, None)


def main(arguments: list[str]) -> int:
    """Prepare or check the environment; exit code 2 and one line when that fails."""
    only_check = arguments[0] == "--current"
    folder, *names = arguments[only_check:]
    venv, locks = ROOT / folder, [ROOT / name for name in names]
    try:
        if only_check:
            return 0 if fingerprint(locks[-1]) in installed(venv) else 1
        with alone(folder):
            prepare_somehow(venv, locks)
    except SetupError as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"run: cannot prepare {venv}: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("run: interrupted; ./run setup goes on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
