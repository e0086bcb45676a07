"""What users see of an object is what users need: the names, exactly."""

import pytest

from shared.concurrency import Condition, Event, Lease, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.lease import WriteLease
from shared.concurrency.locks.readers_writers import Reading, Writing

LEASE = {"check", "mode", "name", "release", "seconds_left", "token"}
ASKED = {"acquire", "locked", "release"}


@pytest.mark.parametrize(
    "kind,names",
    [
        (Session, {"open"}),
        (Lease, LEASE),
        (WriteLease, LEASE | {"downgrade"}),
        (ReadersWritersLease, {"read", "statistics", "write"}),
        (Reading, ASKED),
        (Writing, ASKED),
        (Semaphore, ASKED | {"statistics"}),
        (Lock, ASKED | {"statistics"}),
        (Condition, ASKED | {"notify", "notify_all", "statistics", "wait", "wait_for"}),
        (Event, {"clear", "is_set", "set", "wait"}),
    ],
)
def test_a_class_shows_what_users_need_and_no_more(kind: type, names: set[str]) -> None:
    assert {name for name in dir(kind) if not name.startswith("_")} == names


async def test_objects_show_no_more_than_their_classes(url: str, name: str) -> None:
    async with Session.open(url) as session:
        catalog, lock, event = ReadersWritersLease(session, name), Lock(session, f"{name}-2"), Event(session, name)
        async with catalog.write() as lease, lock:
            for one in (session, catalog, catalog.read(), lease, lock, event):
                assert {word for word in dir(one) if not word.startswith("_")} == {
                    word for word in dir(type(one)) if not word.startswith("_")
                }
