"""Which commands a script calls: read from its source, so that no list of them can be out of date."""

import re
from typing import Final

from shared.concurrency.session.scripts import Script

_CALL: Final = re.compile(r"redis\.p?call\(\s*([^,)]+)")
_WORD: Final = re.compile(r"'([A-Z]+)'")
_TABLE: Final = re.compile(r"^(\w+)\[\w+\]$")


def commands_of(script: Script) -> frozenset[str]:
    """The commands that a script may call, in capitals.

    :raises ValueError: when a call names its command in a way that is not understood.
    """
    return commands_in(script.source.decode())


def commands_in(source: str) -> frozenset[str]:
    """The commands that the source of a script calls: written in the call, or in the table that it takes them from.

    :raises ValueError: as `commands_of`.
    """
    source = "\n".join(line.partition("--")[0] for line in source.splitlines())
    found: set[str] = set()
    for word in _CALL.findall(source):
        table = _TABLE.match(word.strip())
        if table is not None:
            tables = re.findall(rf"local {table[1]} = \{{([^}}]*)\}}", source)
            named = [command for text in tables for command in _WORD.findall(text)]
        else:
            named = _WORD.findall(word)
        if not named:
            raise ValueError(f"no command is written in the call redis.call({word}, ...)")
        found.update(named)
    return frozenset(found)
