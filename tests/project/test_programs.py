"""Every program of a page is run as it stands there, and prints what the page says it prints."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.local.embedded import EmbeddedServer

PROGRAMS: Final = ["effects.md", "locks.md", "results.md"]
ROOT: Final = Path(__file__).resolve().parent.parent.parent
ADDRESS: Final = '"redis://localhost:6379/0"'


def programs(page: str) -> list[tuple[str, str]]:
    """Each program of a page of docs/, with what it prints."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert text.count("```") == 4 * len(found), f"{page} has a block that is no program with its output"
    return found


@pytest.mark.parametrize("page", PROGRAMS)
def test_a_program_prints_what_its_page_says(page: str, server: EmbeddedServer) -> None:
    assert programs(page)
    for code, printed in programs(page):
        assert ADDRESS in code
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code.replace(ADDRESS, repr(server.url))],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.stdout, done.returncode) == (printed, 0), done.stderr
        assert "Traceback" not in done.stderr
