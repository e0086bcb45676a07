"""asyncio's primitives, across processes."""

from shared.concurrency.errors import (
    BrokenBarrierError,
    ConcurrencyError,
    EffectRefused,
    IdConflict,
    InvalidResult,
    LeaseBusy,
    LeaseLost,
    MessageCancelled,
    MessageTooLarge,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    RemoteError,
    ResultLost,
    ResultTooLarge,
    ServerRefused,
    ServerUnavailable,
    StaleDelivery,
    UnknownId,
    WrongLoop,
)
from shared.concurrency.locks.barrier import Barrier
from shared.concurrency.locks.condition import Condition
from shared.concurrency.locks.event import Event
from shared.concurrency.locks.leader import Term, leader
from shared.concurrency.locks.leases.lease import Lease
from shared.concurrency.locks.leases.statistics import Holder, LeaseStatistics, Waiter
from shared.concurrency.locks.rate_limit import RateLimit
from shared.concurrency.locks.readers_writers import ReadersWritersLease
from shared.concurrency.locks.semaphore import Lock, Semaphore
from shared.concurrency.queues.dead_letters import DeadLetter, DeadLetters, Replayed, Selection
from shared.concurrency.queues.deliveries.batch import Batch
from shared.concurrency.queues.deliveries.delivery import Delivery
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.encoding.flow import Priority
from shared.concurrency.queues.limits import QueueLimit
from shared.concurrency.queues.queue import Queue
from shared.concurrency.queues.results.cancellation import Cancellation
from shared.concurrency.queues.results.future import Progress, ResultFuture
from shared.concurrency.queues.shares import QueueShare
from shared.concurrency.queues.statistics import QueueSession, QueueStatistics
from shared.concurrency.rate import Rate
from shared.concurrency.session.session import Session

__all__ = [
    "Barrier",
    "Batch",
    "BrokenBarrierError",
    "Cancellation",
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
    "InvalidResult",
    "Lease",
    "LeaseBusy",
    "LeaseLost",
    "LeaseStatistics",
    "Lock",
    "MessageCancelled",
    "MessageTooLarge",
    "Priority",
    "Progress",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueLimit",
    "QueueSession",
    "QueueShare",
    "QueueShutDown",
    "QueueStatistics",
    "Rate",
    "RateLimit",
    "ReadersWritersLease",
    "RemoteError",
    "Replayed",
    "ResultFuture",
    "ResultLost",
    "ResultTooLarge",
    "Selection",
    "Semaphore",
    "ServerRefused",
    "ServerUnavailable",
    "Session",
    "StaleDelivery",
    "Term",
    "UnknownId",
    "Waiter",
    "WrongLoop",
    "leader",
]
