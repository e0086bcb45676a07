"""README.zh-CN.md is README.md in Chinese: the same code, commands, links and headings, in the same order."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ENGLISH: Final = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE: Final = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

SAME: Final = {
    "code": r"^ *```.*?^ *```$",
    "commands and output": r"^    .*$",
    "words of code": r"`[^`\n]+`",
    "links": r"\]\((?!README)[^)]+\)",
    "figures": r"<!-- result -->.*<!-- end of result -->",
    "levels of headings": r"^#+ ",
    "rows of tables": r"^\|(?=.*\|$)",
    "variables": r"\b(?:PIPELINE|REDIS)_[A-Z]+\b",
}


@pytest.mark.parametrize("what", SAME)
def test_both_have_the_same(what: str) -> None:
    flags = (
        re.MULTILINE
        if what in {"commands and output", "levels of headings", "rows of tables"}
        else re.MULTILINE | re.DOTALL
    )
    found = [re.findall(SAME[what], text, flags) for text in (ENGLISH, CHINESE)]
    assert found[0]
    if what == "words of code":  # a sentence may name them in another order
        found = [sorted(words) for words in found]
    assert found[0] == found[1]


def test_each_names_the_other_in_its_first_line() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.partition("\n")[0]
    assert "(README.md)" in CHINESE.partition("\n")[0]


def test_the_translation_is_chinese_throughout() -> None:
    """A paragraph that was left in English, or was forgotten, is found."""
    paragraphs = re.split(r"\n\n+", re.sub(SAME["code"], "", CHINESE, flags=re.MULTILINE | re.DOTALL))
    for paragraph in paragraphs:
        if paragraph.strip() and not paragraph.startswith(("    ", "<!--", "# Weir")):
            assert re.search(r"[\u4e00-\u9fff]", paragraph), paragraph
    assert len(paragraphs) == len(re.split(r"\n\n+", re.sub(SAME["code"], "", ENGLISH, flags=re.MULTILINE | re.DOTALL)))
