"""What tests reach into: a redesign of the engine touches this file, and no test."""

from typing import Any

from shared.concurrency import Delivery, Lease, Queue, Session
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.lease import tenure_of
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.queues.effects.lane import EffectLane
from shared.concurrency.queues.handout import handout_of
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.queues.queue import participant_of as participant_of_queue
from shared.concurrency.queues.results.progress import ProgressLane
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.session import process_of


def owner_of(session: Session) -> str:
    """What a session's process is called on the server."""
    return process_of(session).owner


def session_of(queue: Queue[Any]) -> Session:
    """A session as the queue's, for another primitive."""
    return Session(participant_of_queue(queue).process)


def participant_of(session: Session, name: str) -> QueueParticipant:
    """A session's part in the queue of that name."""
    return process_of(session).part(QueueParticipant, name)


def lease_participant_of(session: Session, name: str) -> LeaseParticipant:
    """A session's part in the lease of that name."""
    return process_of(session).part(LeaseParticipant, name)


def hold_of(lease: Lease) -> Hold:
    """The hold that a lease relies on."""
    return tenure_of(lease).hold


def has_ended(lease: Lease) -> bool:
    """Whether it was given back, or its body has ended."""
    return tenure_of(lease).ended


def member_of(session: Session, name: str) -> Membership:
    """A session's membership of the queue of that name."""
    return participant_of(session, name).member


def session_id_of(session: Session, name: str) -> str:
    """How the queue of that name calls the session now."""
    return member_of(session, name).session_id


def takes_of(session: Session, name: str) -> TakeLane:
    """A session's lane of takes at the queue of that name."""
    return participant_of(session, name).takes


def effects_of(queue: Queue[Any]) -> EffectLane:
    """The lane of acknowledgements with effects."""
    return participant_of_queue(queue).settler.effects


def progress_of(session: Session, name: str) -> ProgressLane:
    """A session's lane of progress at the queue of that name."""
    return participant_of(session, name).settler._progress


def is_held(delivery: Delivery[Any]) -> bool:
    """Whether it is still to be settled."""
    return handout_of(delivery).state == "held"


def is_lost(delivery: Delivery[Any]) -> bool:
    """Whether its session is over."""
    return handout_of(delivery).state == "lost"


def receipt_of(delivery: Delivery[Any]) -> bytes:
    """What names it on the server."""
    return handout_of(delivery).receipt


def forget(delivery: Delivery[Any], member: Membership) -> None:
    """Have this process believe that it settled the delivery."""
    handout_of(delivery).state = "settled"
    member.held.pop(receipt_of(delivery))
