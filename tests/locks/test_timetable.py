"""When what is held is renewed, and by which time to live."""

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
