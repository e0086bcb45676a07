"""What the evidence of a campaign makes of what its processes wrote down."""

import os
import time
from pathlib import Path

from tests.campaigns.evidence import Evidence
from tests.campaigns.pulse import NETWORK
from tests.campaigns.referee import Referee

_SECOND = 1_000_000_000


def _handled_twice(folder: Path) -> None:
    referee = Referee(folder)
    for attempt in (1, 2):
        referee.record(0, 7, attempt, time.monotonic_ns())
    referee.close()


def _held_up(folder: Path, process: str, pid: int) -> None:
    """Write what a process writes that computed for a second, which began half a second ago."""
    began = time.monotonic_ns() - _SECOND // 2
    (folder / f"pulse-{pid}-{began}").write_text(f"gap {process} {began} {began + _SECOND} {_SECOND} 0\n")


def test_a_network_that_was_held_up_explains_a_message_that_comes_again_whatever_held_it_up(tmp_path: Path) -> None:
    _handled_twice(tmp_path)
    _held_up(tmp_path, NETWORK, 1)
    assert not Evidence(tmp_path).repeats(150, 600).unexplained


def test_a_network_that_computed_excuses_no_standstill(tmp_path: Path) -> None:
    referee = Referee(tmp_path)
    for number in (1, 2):
        referee.record(0, number, 1, time.monotonic_ns())
        _held_up(tmp_path, NETWORK, 1)
    referee.close()
    evidence = Evidence(tmp_path)
    assert evidence.awake_standstill() == evidence.standstill()


def test_a_consumer_that_computed_explains_no_message_that_comes_again(tmp_path: Path) -> None:
    _handled_twice(tmp_path)
    _held_up(tmp_path, "consumer-1", os.getpid())
    assert len(Evidence(tmp_path).repeats(150, 600).unexplained) == 1
