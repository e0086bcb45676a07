"""What is not ours among the files of the page and its tests is as it was published, with its licence."""

import hashlib
from pathlib import Path
from typing import Final

import pytest

from monitor.page.web import STATIC

OF_TESTS: Final = Path(__file__).with_name("axe")


@pytest.mark.parametrize(
    "folder, name, others",
    [
        (STATIC, "uPlot", {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}),
        (OF_TESTS, "axe", {"axe.min.js", "axe.LICENSE", "axe.LICENSE-3RD-PARTY"}),
    ],
)
def test_what_others_made_is_as_it_was_published(folder: Path, name: str, others: set[str]) -> None:
    sums = folder / f"{name}.sha256"
    stated = {file: digest for digest, file in (line.split() for line in sums.read_text(encoding="utf-8").splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob(f"{name}*")}
    found.pop(sums.name)
    assert stated == found
    assert stated.keys() == others


def test_our_own_files_stay_short() -> None:
    for path in STATIC.glob("*.js"):
        if not path.name.startswith("uPlot"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, path
