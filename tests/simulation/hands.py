"""Hands: what is in the hands of sessions, as the server says, with what it asked of its way."""

import re
from typing import Final

from tests.simulation.network import Control

_WAY: Final = re.compile(rb'^.{52}\{"flow":"[012] ([^ "]*) [^ "]* ([^ "]*) ', re.DOTALL)


def in_hands(control: Control) -> dict[bytes, tuple[str, str]]:
    """Receipt of a delivery of the queue -> share and limit of its message; empty where it has none."""
    found = control.calls(*(("HGETALL", key) for key in control.call("KEYS", "{q}:leased:*")))
    return {receipt: _way_of(entry) for each in found for receipt, entry in zip(each[::2], each[1::2], strict=True)}


def _way_of(entry: bytes) -> tuple[str, str]:
    found = _WAY.match(entry)
    return (found[1].decode(), found[2].decode()) if found else ("", "")
