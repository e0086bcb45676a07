"""What users see of an object is what users need: the names, exactly."""

import dataclasses
import inspect

import pytest

import shared.concurrency
from shared.concurrency import (
    Barrier,
    Batch,
    Condition,
    DeadLetters,
    Delivery,
    Effects,
    Event,
    Lease,
    Lock,
    Queue,
    RateLimit,
    ReadersWritersLease,
    Replayed,
    Semaphore,
    Session,
    Term,
)
from shared.concurrency.locks.leases.lease import WriteLease
from shared.concurrency.locks.readers_writers import Reading, Writing
from shared.concurrency.queues.deliveries.forgettable import Forgettable
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.pipeline import Pipeline

LEASE = {"check", "lost", "mode", "name", "release", "seconds_left", "token"}
ASKED = {"acquire", "acquire_nowait", "locked", "release", "within"}
DELIVERY = {
    "ack", "attempt", "cancelled", "dead_letter", "effects", "failures", "first_error", "id", "item", "key", "last_error", "nack", "priority",
    "progress", "report", "share", "version",
}  # fmt: skip
# What a queue and a worker use of a Delivery beside: its type and its dir() show users none of it.
HANDOUT = {
    "acknowledge", "answers", "applied", "body", "check_held", "collected", "entry", "fail_with", "headers_after", "is_interrupted",
    "is_unsendable", "lose", "outcome_of", "receipt", "report_written", "settle_cancelled", "settled", "settled_elsewhere", "state", "stop", "trace_of",
}  # fmt: skip
BATCH = {"count", "fail", "index", "items"}
HELD_BATCH = {
    "begin", "cancel", "cancelled", "cancelling", "end", "error_of", "handouts", "holds", "is_interrupted", "state", "uncancel",
    "unsettled",
}  # fmt: skip
QUEUE = {
    "cancel", "cancel_unique", "dead_letters", "discard", "drain", "forget", "get", "get_many", "get_nowait", "join", "letters", "limit",
    "limit_shares", "limits", "pause", "put", "put_many", "put_nowait", "put_unique", "qsize", "reopen", "replay", "resize", "result",
    "resume", "sessions", "shares", "shutdown", "statistics", "submit", "weigh",
}  # fmt: skip
EFFECTS = {"delete", "expire", "hincrby", "hset", "incrby", "put", "put_unique", "rpush", "sadd", "set"}


def names(kind: type) -> set[str]:
    """The public names of a class, whatever its dir() says; attributes that it only declares, too."""
    found: set[str] = set()
    for each in kind.__mro__:
        found.update(vars(each), inspect.get_annotations(each))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize(
    "kind,shown",
    [
        (Session, {"open"}),
        (Lease, LEASE),
        (WriteLease, LEASE | {"downgrade"}),
        (ReadersWritersLease, {"read", "statistics", "write"}),
        (Reading, ASKED),
        (Writing, ASKED),
        (Semaphore, ASKED | {"resize", "statistics"}),
        (Lock, ASKED | {"statistics"}),
        (Condition, ASKED | {"notify", "notify_all", "statistics", "wait", "wait_for"}),
        (Barrier, {"abort", "broken", "n_waiting", "parties", "reset", "wait"}),
        (Term, set()),
        (RateLimit, {"acquire", "acquire_nowait", "rate", "within"}),
        (Event, {"clear", "delete", "is_set", "set", "wait"}),
        (Delivery, DELIVERY),
        (Handout, DELIVERY | HANDOUT),
        (Forgettable, DELIVERY | HANDOUT),
        (Batch, BATCH),
        (HeldBatch, BATCH | HELD_BATCH),
        (Effects, EFFECTS),
        (Queue, QUEUE),
        (DeadLetters, {"discard", "find", "replay"}),
        (
            Pipeline,
            {
                "cancel",
                "owner",
                "queue",
                "queues",
                "redis",
                "resources",
                "schedule",
                "session",
                "settings",
                "unschedule",
            },
        ),
    ],
)
def test_a_class_shows_what_users_need_and_no_more(kind: type, shown: set[str]) -> None:
    assert names(kind) == shown


def test_a_record_shows_its_fields_and_no_more() -> None:
    records = [kind for kind in vars(shared.concurrency).values() if dataclasses.is_dataclass(kind)]
    assert Replayed in records
    for kind in records:
        assert isinstance(kind, type)
        more = {"stayed"} if kind is Replayed else set()
        assert names(kind) == {field.name for field in dataclasses.fields(kind)} | more, kind


async def test_a_delivery_a_queue_and_effects_show_no_more_than_their_classes(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(7)
        delivery = await queue.get()
        for one, shown in ((delivery, DELIVERY), (delivery.effects, EFFECTS), (queue, QUEUE | {"full_name", "name"})):
            assert {word for word in dir(one) if not word.startswith("_")} == shown
        await delivery.ack()


async def test_objects_show_no_more_than_their_classes(url: str, name: str) -> None:
    async with Session.open(url) as session:
        catalog, lock, event = ReadersWritersLease(session, name), Lock(session, f"{name}-2"), Event(session, name)
        async with catalog.write() as lease, lock:
            for one in (session, catalog, catalog.read(), lease, lock, event):
                assert {word for word in dir(one) if not word.startswith("_")} == {
                    word for word in dir(type(one)) if not word.startswith("_")
                }
