"""Editions of two protocol levels: this project's, and one that knows a level more and needs it once it is told to."""

from pathlib import Path
from typing import Final

from shared.concurrency.queues.membership.level import KNOWN
from tests.instruments.editions import edition

LEVEL: Final = KNOWN + 1
"""What the newer one knows."""

_SOURCE: Final = '''"""YOURS: where messages come from."""

from collections.abc import AsyncGenerator
from pathlib import Path

from shared import messages as classes
from shared.message import Message
from shared.pipeline import Pipeline


async def messages(pipeline: Pipeline, share: int) -> AsyncGenerator[Message, None]:
    """Yield without an end."""
    number = 0
    while True:
        {as_told}
        for message in classes.sent(number):
            yield message
        number += 1
'''
_AS_TOLD: Final = """if Path({told!r}).exists():
            # As the first message does that says something in the way of that level.
            pipeline.queue._participant.member.registration.need_level({level})"""


def of_this_level(folder: Path, name: str, classes: str) -> Path:
    """Make the application with these classes, and return its folder. Its source has no end."""
    root = edition(folder, name, classes)
    (root / "producer" / "source.py").write_text(_SOURCE.format(as_told="pass"), encoding="utf-8")
    return root


def of_the_next_level(folder: Path, name: str, classes: str, told: Path) -> Path:
    """The same of the next level. Its producer has the queue need it once the file `told` is there."""
    root = of_this_level(folder, name, classes)
    engine = root / "shared" / "concurrency"
    for path, line in (
        (engine / "queues" / "membership" / "level.py", "KNOWN: Final = {}\n"),
        (engine / "lua" / "parts" / "level.lua", "\nKNOWN_LEVEL = {}\n"),
    ):
        text = path.read_text(encoding="utf-8")
        assert text.count(line.format(KNOWN)) == 1, path
        path.write_text(text.replace(line.format(KNOWN), line.format(LEVEL)), encoding="utf-8")
    as_told = _AS_TOLD.format(told=str(told), level=LEVEL)
    (root / "producer" / "source.py").write_text(_SOURCE.format(as_told=as_told), encoding="utf-8")
    return root
