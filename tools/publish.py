"""Publishes results of ./run bench and ./run bench-leases in the documents: `python tools/publish.py NAME=FOLDER ...`.

NAME is result (the usual peers, all workloads), field (all peers), growth, or another mark of the page; FOLDER is what
the benchmark has written. The plots of result, field and growth are drawn anew. The figures of docs/performance.md
stand between marks; a test compares them with docs/performance/*.json.
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

from benchmarks.curve import draw  # noqa: E402  # the root is not on the path before
from benchmarks.overview import overview  # noqa: E402
from benchmarks.report import markdown  # noqa: E402


def between(mark: str, text: str, content: str) -> str:
    """Return the text with new content between its marks."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{content}{found[2]}", text)


def publish(folders: dict[str, Path]) -> None:
    """Copy the results and write the tables and plots."""
    PAGES.mkdir(parents=True, exist_ok=True)
    page = ROOT / "docs" / "performance.md"
    for name, folder in folders.items():
        shutil.copy(folder / "result.json", PAGES / f"{name}.json")
        result = json.loads((PAGES / f"{name}.json").read_text())
        page.write_text(between(name, page.read_text(), markdown(result, level=3)))
        if name == "result":
            plot()
        if name == "growth":
            draw(result, PAGES)
        if name == "field":
            (PAGES / "overview.svg").write_text(overview(result), encoding="utf-8")


def plot() -> None:
    """Redraw the plots, in an environment of their own."""
    subprocess.run(
        [sys.executable, "-I", ROOT / "tools" / "environment.py", ".venv-plots", "requirements-plots.lock"], check=True
    )
    python = ROOT / ".venv-plots" / "bin" / "python"
    subprocess.run([python, "-m", "benchmarks.plot", PAGES / "result.json", PAGES], cwd=ROOT, check=True)


if __name__ == "__main__":
    publish({name: Path(folder) for name, _, folder in (word.partition("=") for word in sys.argv[1:])})
