"""Takes results of ./run bench into the documents: `python tools/publish.py FULL FIELD`, two folders that it has written.

The figures of README.md and docs/performance.md stand between marks, and a test holds them to docs/performance/*.json.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "performance"
sys.path.insert(0, str(ROOT))

from benchmarks.report import README_WORKLOADS, markdown, summary  # noqa: E402  # the root is not on the path before


def between(mark: str, text: str, content: str) -> str:
    """The text with what stands between its marks replaced."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{content}{found[2]}", text)


def publish(full: Path, field: Path) -> None:
    """Copy the results and write the tables."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, folder in (("result", full), ("field", field)):
        shutil.copy(folder / "result.json", PAGES / f"{name}.json")
    result, whole = (json.loads((PAGES / f"{name}.json").read_text()) for name in ("result", "field"))
    page = ROOT / "docs" / "performance.md"
    text = between("result", page.read_text(), markdown(result, level=3))
    page.write_text(between("field", text, markdown(whole, level=3)))
    readme = ROOT / "README.md"
    readme.write_text(between("result", readme.read_text(), summary(result, README_WORKLOADS)))
    subprocess.run(
        [sys.executable, "-I", ROOT / "tools" / "environment.py", ".venv-plots", "requirements-plots.lock"], check=True
    )
    python = ROOT / ".venv-plots" / "bin" / "python"
    subprocess.run([python, "-m", "benchmarks.plot", PAGES / "result.json", PAGES], cwd=ROOT, check=True)


if __name__ == "__main__":
    publish(*map(Path, sys.argv[1:]))
