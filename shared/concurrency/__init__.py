"""asyncio's primitives, across processes."""

from shared.concurrency.dead_letter import DeadLetter
from shared.concurrency.delivery import Delivery
from shared.concurrency.errors import (
    ConcurrencyError,
    IdConflict,
    LeaseLost,
    MessageTooLarge,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    ServerRefused,
    ServerUnavailable,
    StaleDelivery,
)
from shared.concurrency.intake import Intake
from shared.concurrency.queue import Queue
from shared.concurrency.session import Session
from shared.concurrency.statistics import QueueStatistics

__all__ = [
    "ConcurrencyError",
    "DeadLetter",
    "Delivery",
    "IdConflict",
    "Intake",
    "LeaseLost",
    "MessageTooLarge",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "QueueStatistics",
    "ServerRefused",
    "ServerUnavailable",
    "Session",
    "StaleDelivery",
]
