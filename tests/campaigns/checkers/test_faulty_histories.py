"""Each checker catches a history with its fault, lets the sound one pass, and excuses who was starved."""

from math import inf

from tests.campaigns.checkers.bound import over_the_bound
from tests.campaigns.checkers.conservation import Balance, imbalances
from tests.campaigns.checkers.fence import Attempt, Grant, judge_fence, tokens_that_fell
from tests.campaigns.checkers.gaps import Gap, Pause, excused, starved
from tests.campaigns.checkers.leaks import leaks
from tests.campaigns.checkers.losses import explain
from tests.campaigns.checkers.overlap import Visit, overlaps
from tests.campaigns.checkers.recovery import longest_pause, longest_recovery
from tests.campaigns.checkers.repeats import Handled, Repeats, judge_repeats
from tests.campaigns.checkers.starvation import Wait, longest_wait
from tests.campaigns.checkers.strikes import Strike
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
    sound = Balance(put=10, acknowledged=7, died=1, inside=2, known=9, attempted=12, handled=8, counted=7)
    assert imbalances(sound) == []
    assert len(imbalances(Balance(10, 7, 1, 1, 9, 12, 8, 7))) == 1
    assert len(imbalances(Balance(13, 10, 1, 2, 9, 12, 10, 10))) == 1, "more went in than anybody tried"
    assert len(imbalances(Balance(8, 7, 1, 0, 9, 12, 8, 7))) == 1, "one that is known to be in never was"
    assert len(imbalances(Balance(10, 7, 1, 2, 9, 12, 6, 7))) == 1, "acknowledged by nobody who handled it"
    assert len(imbalances(Balance(10, 7, 1, 2, 9, 12, 8, 6))) == 1, "acknowledged without its effect"


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


def test_a_standstill_behind_a_heal_is_caught_and_only_who_was_needed_excuses_it() -> None:
    heals, handlings, groups = [S, 5 * S], [2 * S, 8 * S], [{"consumer-0", "consumer-1"}, {"producer-0"}]
    both = [Gap("consumer-0", 5 * S, 7 * S), Gap("consumer-1", 4 * S, 6 * S)]
    assert longest_recovery(heals, handlings, [], groups) == 3.0
    assert longest_recovery(heals, handlings, both[:1], groups) == 3.0, "the other consumer could have handled it"
    assert longest_recovery(heals, handlings, both, groups) == 2.0, "for a second neither could"
    assert longest_recovery(heals, handlings, [Gap("producer-0", 5 * S, 7 * S)], groups) == 1.0, "nothing was put"
    assert longest_recovery(heals, handlings, [Gap("somebody", 5 * S, 7 * S)], groups) == 3.0
    assert longest_recovery([9 * S], handlings, [], groups) == inf
    assert longest_pause(handlings, [], groups) == 6.0
    assert longest_pause(handlings, both, groups) == 5.0


def test_a_process_that_keeps_its_own_loop_from_turning_is_not_excused() -> None:
    def lost(cpu: float, queued: float | None, *stops: tuple[int, int]) -> float:
        waited = None if queued is None else int(queued * S)
        found = excused(Pause("a", 1, 0, 2 * S, int(cpu * S), waited), stops, S // 20)
        return 0.0 if found is None else (found.ended - found.began) / S

    assert lost(0.0, 2.0) == 2.0, "it stood in the queue of the kernel"
    assert lost(1.5, 0.5) == 0.5
    assert lost(2.0, 0.0) == 0.0, "it computed"
    assert lost(0.0, 0.0) == 0.0, "it waited for something, and its loop with it"
    assert lost(0.0, 0.0, (-S, S)) == 1.0, "the campaign stopped it for a second of these"
    assert lost(1.97, 0.03) == 0.0, "too short to count"
    assert lost(0.5, None) == 1.5, "a kernel that does not say"
    assert lost(0.0, 9.0) == 2.0, "several threads stood in the queue"


def strike(began: int, ended: int, pid: int | None = None, kept: int | None = None) -> Strike:
    return Strike("strike", began, ended, pid, kept)


def test_a_loss_that_no_crash_explains_is_caught() -> None:
    crash = strike(10 * S, 12 * S, kept=8 * S)
    assert explain([], [crash], 0.5) == explain([], [], 0.5)
    found = explain([9 * S, int(10.2 * S)], [crash], 0.5)
    assert (found.count, found.reach, found.beyond, found.unexplained) == (2, 1.0, 1.0, 0)
    assert explain([7 * S], [crash], 0.5).unexplained == 1, "it was safe on disk"
    assert explain([11 * S], [crash], 0.5).unexplained == 1, "nothing happened behind it"
    assert explain([9 * S], [strike(10 * S, 12 * S)], 0.5).unexplained == 1, "that strike takes nothing"
    assert explain([9 * S], [], 0.5).unexplained == 1


def test_a_server_that_syncs_too_late_is_caught_and_one_that_is_starved_is_not() -> None:
    late = strike(10 * S, 12 * S, kept=5 * S)
    assert explain([6 * S], [late], 0.5).beyond == 4.0
    assert explain([6 * S], [late], 0.5, [Gap("a", 6 * S, 8 * S), Gap("b", 7 * S, 9 * S)]).beyond == 2.0
    assert explain([6 * S], [late], 0.5, [Gap("a", 11 * S, 13 * S)]).beyond == 4.0


def handled(number: int, pid: int, began: float, at: float) -> Handled:
    return Handled((0, number), pid, int(began * S), int(at * S))


def test_a_message_that_comes_again_without_a_strike_is_caught() -> None:
    twice = handled(1, 7, 1, 2), handled(1, 8, 4, 5)
    assert judge_repeats(twice, [], 10).unexplained == (twice,)
    assert judge_repeats(twice[:1], [], 10).unexplained == ()
    assert judge_repeats(twice, [strike(3 * S, 3 * S, 7)], 10).unexplained == (), "who had it was killed"
    assert judge_repeats(twice, [strike(3 * S, 3 * S)], 10).unexplained == (), "the server was"
    assert judge_repeats(twice, [strike(3 * S, 3 * S, 9)], 10).unexplained == (twice,), "somebody else was"
    assert judge_repeats(twice, [strike(6 * S, 6 * S, 7)], 10).unexplained == (twice,), "it was too late"
    assert judge_repeats(twice, [strike(0, S // 2, 7)], 10).unexplained == (twice,), "it was too soon"
    assert judge_repeats(twice, [strike(0, S // 2, 7)], 10, 10, notice=0.5).unexplained == (), "over unnoticed"
    assert judge_repeats(twice, [strike(0, S // 2, 7)], 10, notice=0.5).unexplained == (twice,), (
        "nothing may begin then"
    )
    stopped = handled(1, 8, 3, 3), handled(1, 7, 1, 5)
    assert judge_repeats(stopped, [strike(2 * S, 4 * S, 7)], 10).unexplained == (), "who was stopped handled it last"


def test_more_repeats_than_a_process_had_in_hand_are_caught() -> None:
    many = [each for number in range(5) for each in (handled(number, 7, 1, 2), handled(number, 8, 4, 5 + number))]
    killed = strike(3 * S, 3 * S, 7)
    assert judge_repeats(many, [killed], 5) == Repeats((), 5)
    found = judge_repeats(many, [killed], 3)
    assert ([again.name for _, again in found.unexplained], found.most) == ([(0, 3), (0, 4)], 3)
    assert judge_repeats(many, [killed, strike(3 * S, 3 * S)], 3).unexplained == (), "two strikes, three each"
    before = strike(S // 2, 3 * S, 7)
    assert judge_repeats(many, [before], 0, 5) == Repeats((), 5), "taken since it was struck"
    assert len(judge_repeats(many, [before], 5, 3).unexplained) == 2
    forgot = strike(3 * S, 3 * S, kept=S)
    assert judge_repeats(many, [forgot], 1).unexplained == (), "acknowledgements that the server has forgotten"
    assert len(judge_repeats(many, [strike(3 * S, 3 * S, kept=int(2.5 * S))], 1).unexplained) == 4, "it kept these"
