"""Writes benchmarks/peers/*.lock anew from requirements.toml there, with uv: every platform, hashes, no index addresses."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / "benchmarks" / "peers"
OPTIONS = (
    *("--no-config", "--universal", "--generate-hashes", "--python-version", "3.12", "--upgrade"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet"),
)
COMMON = ("pydantic>=2.12,<3", "uvloop>=0.22; sys_platform != 'win32'")


def compile_peers(uv: str) -> None:
    """Write the lock file of every peer; what uv says is shown. Raises CalledProcessError."""
    for name, requirements in tomllib.loads((PEERS / "requirements.toml").read_text()).items():
        command = [uv, "pip", "compile", "-", *OPTIONS, "--output-file", f"{name}.lock"]
        lines = "\n".join((*requirements, *COMMON))
        subprocess.run(command, cwd=PEERS, check=True, input=lines, text=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Write all of them; exit code 2 and one line when uv is missing or cannot."""
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write("tools/peers.py needs uv: pip install uv, or see its installation page\n")
        return 2
    try:
        compile_peers(uv)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"tools/peers.py: uv ended with code {error.returncode}; the lock files may be half new\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
