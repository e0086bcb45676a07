"""Each number of the page stands in the table that says what numbers mean, by the word that the page has for it."""

import re

from monitor.page.web import STATIC
from tests.instruments.command_line import ROOT


def test_the_table_has_each_word_that_the_page_puts_before_a_number() -> None:
    page = (STATIC / "page.html").read_text(encoding="utf-8")
    words = {word.strip().lower() for word in re.findall(r"<(?:dt|th)\b[^>]*>([^<]+)</", page)}
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "monitor.md").read_text(encoding="utf-8"), re.MULTILINE)
    explained = {word.strip().lower() for row in rows for word in re.split("[;:,]", row)}
    assert len(words) > 15
    assert words <= explained
