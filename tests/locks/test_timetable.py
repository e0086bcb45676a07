"""When what is held is renewed, and by which time to live."""

from shared.concurrency.session.clock import boottime
from shared.concurrency.session.timetable import Timetable


class Renewed:
    """What is renewed, with a short hold that came to a long one."""

    shortest_ttl = 6.0


def test_a_short_hold_that_comes_to_a_long_one_counts_at_once() -> None:
    timetable, what = Timetable[Renewed](60.0, lambda: None), Renewed()
    timetable.plan(what, 60.0)
    timetable.all_within(0.0)
    assert timetable.take(1, again_in=0.5) == [what]  # and due again sooner than a third of the short one's time
    timetable.plan(what, what.shortest_ttl)
    assert timetable.take(1, again_in=0.5) == []
    # For so long, or a part of it, a silent server is waited for.
    assert timetable.shortest == what.shortest_ttl


def test_a_short_hold_that_comes_to_a_long_one_is_renewed_in_its_own_time() -> None:
    timetable, what = Timetable[Renewed](60.0, lambda: None), Renewed()
    timetable.plan(what, 60.0)
    before = boottime()
    timetable.plan(what, what.shortest_ttl)
    assert timetable.next_at <= boottime() + 2.0  # a third of it
    assert timetable._due[what].at < before + 3.0
    assert timetable._due[what].deadline < before + 7.0
