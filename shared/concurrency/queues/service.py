"""What a consumer service uses of a queue, and users do not."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shared.concurrency.queues.deliveries.gathering import Company
from shared.concurrency.queues.deliveries.spans import ProcessSpans
from shared.concurrency.queues.membership.load import Load
from shared.concurrency.queues.membership.recovery import DeadNotice
from shared.concurrency.queues.prefetch import Prefetch
from shared.concurrency.queues.queue import Queue, participant_of
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.histogram import BOUNDS, Histogram

__all__ = [
    "BOUNDS", "DeadNotice", "Histogram", "Load", "ProcessSpans", "left_leased", "load_of", "measure", "notified_of_dead",
    "notified_to_drain", "prefetch", "renewed_for", "spans_at",
]  # fmt: skip

T = TypeVar("T")


def prefetch(queue: Queue[T], workers: int, companies: Mapping[type[Any], Company]) -> Prefetch[T]:
    """Take for so many workers, which settle without waiting; for consumer services.

    `companies`: how many messages are handled together, by those classes that are handled in batches.

    :raises ConcurrencyError: when the session is closed.
    """
    participant = participant_of(queue)
    participant.process.check_open()
    codec, results, unread = queue._codec, queue._results, queue._unread  # noqa: SLF001  # users never get them
    return Prefetch(
        participant.member, participant.settler, codec, results, workers, unread=unread, companies=companies
    )


def measure(queue: Queue[Any], concurrency: int) -> Load:
    """Have what a consumer service measures travel with its renewals; what it takes is measured from here on."""
    measured = participant_of(queue).member.registration.load = Load(concurrency)
    return measured


async def notified_to_drain(queue: Queue[Any]) -> None:
    """Wait until this process is notified to `drain`. For consumer services: from here on it can be notified.

    :raises ConcurrencyError: when the session is closed.
    """
    member = participant_of(queue).member
    participant_of(queue).process.check_open()
    member.registration.can_drain()
    await member.draining.wait()


def notified_of_dead(queue: Queue[Any], receive: Callable[[DeadNotice], object]) -> None:
    """Have `receive` called on the loop for each message that a call of this process makes a dead letter."""
    participant_of(queue).member.recovery.on_dead = receive


def left_leased(queue: Queue[Any]) -> int:
    """How many deliveries the end of the session could not give back; 0 before."""
    return participant_of(queue).left_leased


def lost_so_far(queue: Queue[Any]) -> int:
    """How many deliveries of this process were lost with sessions that passed their deadline."""
    return participant_of(queue).member.life.lost_before


def renewed_for(queue: Queue[Any]) -> float | None:
    """For how many seconds this process's session at the queue is renewed; None unless it is registered. Any thread."""
    life = participant_of(queue).member.life
    return None if life.is_fresh else life.deadline - boottime()


def load_of(queue: Queue[Any]) -> Load | None:
    """What a consumer service has measured; None in any other process."""
    return participant_of(queue).member.registration.load


def spans_at(queue: Queue[Any]) -> ProcessSpans | None:
    """The spans of what this process handles of the queue; None where nobody traces."""
    return participant_of(queue).spans
