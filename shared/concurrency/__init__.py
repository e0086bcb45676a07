"""asyncio's primitives, across processes."""

from shared.concurrency.condition import Condition
from shared.concurrency.dead_letter import DeadLetter
from shared.concurrency.dead_letters import DeadLetters, Replayed, Selection
from shared.concurrency.delivery import Delivery
from shared.concurrency.effects import Effects
from shared.concurrency.errors import (
    ConcurrencyError,
    EffectRefused,
    IdConflict,
    InvalidResult,
    LeaseLost,
    MessageTooLarge,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    RemoteError,
    ResultLost,
    ServerRefused,
    ServerUnavailable,
    StaleDelivery,
)
from shared.concurrency.event import Event
from shared.concurrency.intake import Intake
from shared.concurrency.lease import Lease
from shared.concurrency.lease_statistics import Holder, LeaseStatistics, Waiter
from shared.concurrency.queue import Queue
from shared.concurrency.queue_session import QueueSession
from shared.concurrency.readers_writers import ReadersWritersLease
from shared.concurrency.result_future import Progress, ResultFuture
from shared.concurrency.semaphore import Lock, Semaphore
from shared.concurrency.session import Session
from shared.concurrency.statistics import QueueStatistics

__all__ = [
    "ConcurrencyError",
    "Condition",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "EffectRefused",
    "Effects",
    "Event",
    "Holder",
    "IdConflict",
    "Intake",
    "InvalidResult",
    "Lease",
    "LeaseLost",
    "LeaseStatistics",
    "Lock",
    "MessageTooLarge",
    "Progress",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueSession",
    "QueueShutDown",
    "QueueStatistics",
    "ReadersWritersLease",
    "RemoteError",
    "Replayed",
    "ResultFuture",
    "ResultLost",
    "Selection",
    "Semaphore",
    "ServerRefused",
    "ServerUnavailable",
    "Session",
    "StaleDelivery",
    "Waiter",
]
