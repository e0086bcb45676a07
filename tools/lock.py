"""Rewrites the requirements*.lock files from pyproject.toml, with uv: every platform, hashes, no index addresses."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = (
    *("--no-config", "--universal", "--generate-hashes", "--python-version", "3.11", "--upgrade"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet"),
)
EVERYTHING = ("--group", "test", "--group", "check", "--group", "dev")


def compile_lock(uv: str, output: str, *options: str, source: str = "pyproject.toml") -> None:
    """Write one lock file; the messages of uv are shown. Raises CalledProcessError."""
    command = [uv, "pip", "compile", source, *OPTIONS, *options, "--output-file", output]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Write the lock files; exit code 2 and one line when uv is missing or fails."""
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write("run: lock needs uv: pip install uv, or see its installation page\n")
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
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"run: uv ended with code {error.returncode}; the lock files may be only partly new\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
