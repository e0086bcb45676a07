"""Rewrites benchmarks/{peers,leases}/*.lock from requirements.toml there, with uv.

For every platform, with hashes, without index addresses.
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
FOLDERS = (BENCHMARKS / "peers", BENCHMARKS / "leases")
OPTIONS = (
    *("--no-config", "--universal", "--generate-hashes", "--python-version", "3.12", "--upgrade"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet"),
)
COMMON = ("pydantic>=2.12,<3", "uvloop>=0.22; sys_platform != 'win32'")


def compile_peers(uv: str, folder: Path) -> None:
    """Write the lock file of every peer of a folder; the messages of uv are shown. Raises CalledProcessError."""
    for name, requirements in tomllib.loads((folder / "requirements.toml").read_text()).items():
        command = [uv, "pip", "compile", "-", *OPTIONS, "--output-file", f"{name}.lock"]
        lines = "\n".join((*requirements, *COMMON))
        subprocess.run(command, cwd=folder, check=True, input=lines, text=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Write all lock files; exit code 2 and one line when uv is missing or fails."""
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write("tools/peers.py needs uv: pip install uv, or see its installation page\n")
        return 2
    try:
        for folder in FOLDERS:
            compile_peers(uv, folder)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(
            f"tools/peers.py: uv ended with code {error.returncode}; the lock files may be only partly new\n"
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
