"""Each checker catches a history with its fault, lets the sound one pass, and excuses who was starved."""

from math import inf

from tests.campaigns.checkers.bound import over_the_bound
from tests.campaigns.checkers.conservation import Balance, imbalances
from tests.campaigns.checkers.fence import Attempt, Grant, judge_fence, tokens_that_fell
from tests.campaigns.checkers.gaps import Gap, starved
from tests.campaigns.checkers.leaks import leaks
from tests.campaigns.checkers.losses import explain
from tests.campaigns.checkers.overlap import Visit, overlaps
from tests.campaigns.checkers.recovery import longest_recovery
from tests.campaigns.checkers.starvation import Wait, longest_wait
from tests.campaigns.checkers.turns import Turn, out_of_turn

S = 1_000_000_000


def test_gaps_that_overlap_count_once_and_only_inside() -> None:
    gaps = [Gap("a", 0, 2 * S), Gap("a", S, 3 * S), Gap("b", 4 * S, 6 * S)]
    assert starved(gaps, S, 5 * S) == 3.0
    assert starved(gaps, S, 5 * S, "a") == 2.0
    assert starved(gaps, 3 * S, 4 * S) == 0.0


def test_one_look_that_sees_too_many_is_caught() -> None:
    assert over_the_bound([(0.0, 499), (0.1, 500)], 500) == []
    assert over_the_bound([(0.0, 499), (0.1, 501), (0.2, 3)], 500) == [(0.1, 501)]


def test_a_message_that_vanished_or_was_made_up_does_not_add_up() -> None:
    sound = Balance(put=10, acknowledged=7, died=1, inside=2, known=9, attempted=12, handled=8)
    assert imbalances(sound) == []
    assert len(imbalances(Balance(10, 7, 1, 1, 9, 12, 8))) == 1
    assert len(imbalances(Balance(13, 10, 1, 2, 9, 12, 10))) == 1, "more went in than anybody tried"
    assert len(imbalances(Balance(8, 7, 1, 0, 9, 12, 8))) == 1, "one that is known to be in never was"
    assert len(imbalances(Balance(10, 7, 1, 2, 9, 12, 6))) == 1, "acknowledged by nobody who handled it"


def test_who_comes_out_before_one_that_was_in_when_it_began_is_caught() -> None:
    first, second, beside = Turn("a", 0, 1), Turn("b", 2, 3), Turn("c", 0.5, 4)
    assert out_of_turn([first, second]) == []
    assert out_of_turn([beside, first, second]) == [], "they ran at the same time"
    assert out_of_turn([second, first]) == [(first, second)]
    assert out_of_turn([second, Turn("a", 0)]) == [], "nobody knew that it was in"
    assert out_of_turn([Turn("d", 9, 10), second, beside, first]) == [(first, Turn("d", 9, 10)), (first, second)]


def visit(process: str, entered: float, left: float = inf, *, lease: str = "l", until: float = inf) -> Visit:
    return Visit(lease, process[-1], process.startswith("writer"), entered, left, until)


def test_a_writer_beside_another_is_caught_and_one_that_was_starved_is_excused() -> None:
    reader, writer = visit("reader a", 10, 20), visit("writer b", 15, 30)
    assert overlaps([reader, writer], []) == [(reader, writer)]
    assert overlaps([reader, visit("reader b", 15, 30)], []) == []
    assert overlaps([reader, visit("writer b", 15, 30, lease="m")], []) == []
    assert overlaps([reader, visit("writer b", 20, 30)], []) == []
    assert overlaps([reader, writer], [Gap("a", 12, 18)]) == []
    assert overlaps([reader, writer], [Gap("c", 12, 18)]) == [(reader, writer)]
    assert overlaps([reader, writer], [Gap("a", 40, 50)]) == [(reader, writer)]
    assert overlaps([visit("writer a", 10, until=14), writer], []) == [], "killed, and its lease is over"
    assert overlaps([visit("writer a", 10), writer], []) != [], "inside until somebody knows that it is not"


def attempt(holder: str, token: int, *, accepted: bool = True, is_late: bool = False) -> Attempt:
    return Attempt("l", holder, token, is_write=True, is_late=is_late, accepted=accepted)


def test_a_store_that_takes_an_old_token_is_caught() -> None:
    sound = judge_fence([attempt("a", 5), attempt("b", 6), attempt("a", 5, accepted=False, is_late=True)])
    assert (sound.backwards, sound.shared, sound.refused, sound.refused_in_time) == ((), (), 1, 0)
    assert judge_fence([attempt("a", 5), attempt("b", 6), attempt("a", 5)]).backwards == (attempt("a", 5),)
    read = Attempt("l", "r", 5, is_write=False, is_late=False, accepted=True)
    assert judge_fence([attempt("a", 6), read]).backwards == (read,), "a reader behind a later writer"
    later = Attempt("l", "s", 7, is_write=False, is_late=False, accepted=True)
    assert judge_fence([later, read]).backwards == (), "readers are inside together"
    assert judge_fence([later, attempt("a", 6)]).backwards == (attempt("a", 6),), "a writer behind a later reader"
    assert judge_fence([attempt("a", 5), attempt("b", 5)]).shared == (attempt("b", 5),)
    assert judge_fence([attempt("a", 5), attempt("a", 5)]).shared == ()
    assert judge_fence([attempt("a", 5), attempt("b", 6), attempt("a", 5, accepted=False)]).refused_in_time == 1


def test_a_token_that_does_not_grow_is_caught() -> None:
    def grant(asked: float, entered: float, token: int, *, is_write: bool = True) -> Grant:
        return Grant("l", asked, entered, token, is_write)

    assert tokens_that_fell([grant(0, 1, 5), grant(2, 3, 6)]) == []
    assert tokens_that_fell([grant(0, 1, 5), grant(2, 3, 4)]) == [(grant(0, 1, 5), grant(2, 3, 4))]
    assert tokens_that_fell([grant(0, 1, 5), grant(2, 3, 5)]) != []
    assert tokens_that_fell([grant(0, 1, 5, is_write=False), grant(2, 3, 5, is_write=False)]) == []
    assert tokens_that_fell([grant(0, 1, 5, is_write=False), grant(2, 3, 5)]) != [], "a reader's counts, too"
    assert tokens_that_fell([grant(0, 3, 5), grant(2, 4, 4)]) == [], "asked for at the same time"
    assert tokens_that_fell([grant(0, 1, 5), grant(2, inf, 0)]) == [], "never granted"


def test_who_waits_too_long_is_caught_and_who_had_no_turn_is_not() -> None:
    waits = [Wait("a", 0, 2 * S), Wait("b", 0, 9 * S)]
    assert longest_wait(waits, []) == 9.0
    assert longest_wait(waits, [Gap("b", S, 8 * S)]) == 2.0
    assert longest_wait(waits, [Gap("a", S, 8 * S)]) == 9.0
    assert longest_wait([], []) == 0.0


def test_what_is_left_behind_is_caught() -> None:
    assert leaks({"tasks": 1, "keys": 4}, {"tasks": 1, "keys": 3}) == []
    assert leaks({"tasks": 1}, {"tasks": 2}) == ["tasks: 1 before, 2 after"]
    assert leaks({}, {"leases": 1}) == ["leases: 0 before, 1 after"]


def test_a_standstill_behind_a_heal_is_caught_and_a_starved_machine_is_not() -> None:
    assert longest_recovery([S, 5 * S], [2 * S, 8 * S], []) == 3.0
    assert longest_recovery([S, 5 * S], [2 * S, 8 * S], [Gap("a", 5 * S, 7 * S)]) == 1.0
    assert longest_recovery([9 * S], [2 * S, 8 * S], []) == inf


def test_a_loss_that_no_crash_explains_is_caught() -> None:
    assert explain([], [10 * S], 2.0, 0.5) == explain([], [], 2.0, 0.5)
    found = explain([9 * S, int(10.2 * S)], [10 * S], 2.0, 0.5)
    assert (found.count, found.reach, found.unexplained) == (2, 1.0, 0)
    assert explain([7 * S], [10 * S], 2.0, 0.5).unexplained == 1, "too old"
    assert explain([11 * S], [10 * S], 2.0, 0.5).unexplained == 1, "nothing happened behind it"
    assert explain([9 * S], [], 2.0, 0.5).unexplained == 1
