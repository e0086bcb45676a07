"""Each checker is shown a run that is sound, and runs that are not."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaigns.checkers.linear import FENCED_REGISTER, READERS_WRITERS, Operation, is_linearizable
from tests.campaigns.checkers.slope import fit
from tests.campaigns.checkers.standstill import longest_standstill
from tests.campaigns.checkers.totals import total_queue
from tests.campaigns.heap import allocated, blocks
from tests.campaigns.history import History, in_doubt
from tests.campaigns.referee import Referee


@dataclass(frozen=True)
class Range:
    part: int
    phase: str
    first: int
    last: int


PUTS = [
    Range(0, "invoke", 0, 3),
    Range(0, "ok", 0, 1),
    Range(0, "info", 2, 3),
    Range(1, "invoke", 0, 0),
    Range(1, "ok", 0, 0),
]


def test_what_was_acknowledged_and_never_handled_is_lost() -> None:
    totals = total_queue(PUTS, [(0, 0), (1, 0)])
    assert (totals.lost, totals.unexpected, totals.duplicated, totals.recovered) == (
        frozenset({(0, 1)}),
        frozenset(),
        0,
        0,
    )


def test_what_nobody_asked_for_is_unexpected_and_what_was_in_doubt_is_recovered() -> None:
    totals = total_queue(PUTS, [(0, 0), (0, 1), (0, 1), (1, 0), (0, 3), (0, 4)])
    assert (totals.lost, totals.unexpected, totals.duplicated, totals.recovered) == (
        frozenset(),
        frozenset({(0, 4)}),
        1,
        1,
    )
    assert (totals.attempted, totals.acknowledged, totals.handled) == (5, 3, 5)


def test_what_was_refused_and_came_out_nevertheless_is_caught() -> None:
    refused = [*PUTS, Range(1, "invoke", 1, 1), Range(1, "fail", 1, 1)]
    sound = total_queue(refused, [(0, 0), (0, 1), (1, 0)])
    assert (sound.refused, sound.defiant, sound.attempted) == (1, frozenset(), 5)
    broken = total_queue(refused, [(0, 0), (0, 1), (1, 0), (1, 1)])
    assert (broken.defiant, broken.unexpected, broken.lost) == (frozenset({(1, 1)}), frozenset(), frozenset())


def test_a_producer_goes_on_with_what_is_in_doubt_and_not_with_what_was_refused(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    for number, phase in enumerate(["ok", "fail", "info"]):
        history.note("invoke", number, number)
        history.note(phase, number, number)  # type: ignore[arg-type]  # the phases of above
    history.note("invoke", 3, 5)
    history.close()
    assert in_doubt(tmp_path, 0) == ([(2, 2), (3, 5)], 6)


def test_a_standstill_is_the_longest_pause() -> None:
    assert longest_standstill([3_000_000_000, 0, 1_000_000_000]) == 2.0
    assert longest_standstill([]) == 0.0


def test_what_grows_is_not_flat_and_noise_is() -> None:
    noise = [(float(at), 1000.0 + (at * 7919 % 13)) for at in range(300)]
    assert fit(noise).is_flat
    assert not fit([(at, figure + at * 0.5) for at, figure in noise]).is_flat
    # What fills up at first does not count.
    assert fit([(at, figure - max(0, 90 - at) * 5) for at, figure in noise]).is_flat
    with pytest.raises(ValueError, match="ten samples"):
        fit(noise[:9])


def test_steps_of_an_allocator_are_no_growth_and_growth_in_steps_is() -> None:
    # As memory that is taken and given back every 400 s: the last of it is high, by chance.
    steps = [(float(at), 50.0 + 4.0 * ((at + 200) // 400 % 2)) for at in range(1350)]
    assert fit(steps).is_flat
    assert not fit([(at, figure + at // 60) for at, figure in steps]).is_flat


def test_one_arena_that_fills_is_no_growth_and_the_third_is() -> None:
    resident = [(float(at), 50.0 + at / 280 * 0.5) for at in range(420)]
    assert not fit(resident).is_flat
    assert not fit(resident).grows_by(1.0)
    assert fit([(at, 4 * figure) for at, figure in resident]).grows_by(1.0)


def test_the_referee_keeps_nothing_of_what_it_recorded(tmp_path: Path) -> None:
    referee = Referee(tmp_path)
    referee.record(0, 0, 1, 0)
    before = allocated()
    for number in range(1, 20_000):
        referee.record(0, number, 1, 0)
    assert allocated() - before < 0.1
    referee.close()


def test_a_leak_of_python_and_one_of_a_library_are_seen() -> None:
    before = blocks(), allocated()
    objects = [object() for _ in range(10_000)]
    library = sqlite3.connect(":memory:")
    library.execute("CREATE TABLE kept AS SELECT zeroblob(1000000)")
    assert blocks() - before[0] >= len(objects)
    assert allocated() - before[1] > 0.9
    library.close()


def test_a_writer_beside_a_reader_is_not_linearizable() -> None:
    read, end = Operation("read", 1, 0, 1), Operation("end read", 1, 5, 6)
    assert is_linearizable([read, end, Operation("write", 2, 2, 7)], READERS_WRITERS)
    assert not is_linearizable([read, end, Operation("write", 2, 2, 4)], READERS_WRITERS)
    # Who was killed may have left at any time, and ends nobody else's stay.
    assert is_linearizable([read, Operation("end read", 1, 1.5), Operation("write", 2, 2, 4)], READERS_WRITERS)
    assert not is_linearizable([read, Operation("end read", 3, 1.5), Operation("write", 2, 2, 4)], READERS_WRITERS)
    assert is_linearizable([read, Operation("read", 3, 0, 1), end, Operation("end read", 3, 2, 3)], READERS_WRITERS)


def test_a_store_that_takes_a_smaller_token_is_not_linearizable() -> None:
    first, second = Operation("write", 5, 0, 1), Operation("write", 4, 2, 3)
    assert not is_linearizable([first, second], FENCED_REGISTER)
    assert is_linearizable([first, Operation("write", 4, 0.5, 3)], FENCED_REGISTER)
    assert not is_linearizable([first, Operation("read", 0, 2, 3)], FENCED_REGISTER)
    assert is_linearizable([Operation("write", 5, 0), Operation("read", 0, 2, 3)], FENCED_REGISTER)
