"""The lanes of a lease: who held it, waited for it and lost it, in the order in which the page shows them."""

from monitor.history import Slice
from monitor.page.lanes import MOST, lanes_of
from monitor.processes import Processes
from shared.concurrency.locks.leases.snapshot import Grants, LeaseSnapshot

NONE = Grants(0, 0, 0)
LEASE = LeaseSnapshot("catalog", "fair", None, 7, NONE, 0, (), 0, ())


def moment(at: float, readers: str = "", others: str = "", waiters: str = "", lost: str = "") -> Slice:
    """One slice; each letter is an owner."""
    return Slice(at, tuple(readers), tuple(others), tuple(waiters), NONE, tuple(lost))


def test_each_process_has_a_letter_for_each_moment_and_those_that_wrote_come_first() -> None:
    slices = [
        moment(1, readers="ab", waiters="w"),
        moment(2, others="w", waiters="aw"),
        moment(3, readers="b", lost="w"),
    ]
    found = lanes_of(LEASE, slices, Processes())
    assert [(each["owner"], each["states"], each["lost"]) for each in found["lanes"]] == [
        ("w", "qw-", [2]), ("a", "rq-", []), ("b", "r-r", []),
    ]  # fmt: skip
    assert (found["more"], found["more_busy"]) == (0, [])


def test_where_there_is_no_room_for_all_the_rest_is_one_lane() -> None:
    slices = [moment(1, readers="abc"), moment(2, readers="defghijk")]
    found = lanes_of(LEASE, slices, Processes())
    assert [each["owner"] for each in found["lanes"]] == list("defghij")
    assert len(found["lanes"]) == MOST - 1
    assert (found["more"], found["more_busy"]) == (4, [3, 1])
