"""docs/releases.md says of levels what the engine does."""

import re
from typing import Final

from shared.concurrency.queues.encoding.flow import LEVEL_OF_FLOW
from shared.concurrency.queues.membership.level import KNOWN, NewerQueue
from tests.instruments.command_line import ROOT

PAGE: Final = (ROOT / "docs" / "releases.md").read_text(encoding="utf-8")


def test_each_level_that_is_known_has_its_row() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| [\d.]+ \| (.+) \|$", PAGE, re.MULTILINE))
    assert [*rows] == [str(level) for level in range(KNOWN + 1)]
    assert "`key=`" in rows[str(LEVEL_OF_FLOW)]


def test_the_page_has_the_words_of_the_refusal() -> None:
    said = str(NewerQueue("jobs")).removesuffix(" (queue jobs)")
    assert f'`ServerRefused`, "{said}"' in PAGE
