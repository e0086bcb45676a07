"""What is not ours among the page's files is as it was published, and in the wheel and the image with its licence."""

import hashlib
from typing import Final

from monitor.page.web import STATIC

SUMS: Final = STATIC / "uPlot.sha256"


def test_the_library_for_charts_is_as_it_was_published() -> None:
    lines = (line.split() for line in SUMS.read_text(encoding="utf-8").splitlines())
    stated = {name: digest for digest, name in lines}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in STATIC.glob("uPlot*")}
    found.pop(SUMS.name)
    assert stated == found
    assert {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"} == stated.keys()


def test_our_own_files_stay_short() -> None:
    for path in STATIC.glob("*.js"):
        if not path.name.startswith("uPlot"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, path
