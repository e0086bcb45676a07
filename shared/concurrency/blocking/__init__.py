"""The same face for synchronous code: `with BlockingSession(url) as session:`."""

from shared.concurrency.blocking.delivery import BlockingDelivery
from shared.concurrency.blocking.event import BlockingEvent
from shared.concurrency.blocking.lease import BlockingLease
from shared.concurrency.blocking.locks import BlockingLock, BlockingReadersWritersLease, BlockingSemaphore
from shared.concurrency.blocking.queue import BlockingQueue
from shared.concurrency.blocking.rate_limit import BlockingRateLimit
from shared.concurrency.blocking.result import BlockingResult
from shared.concurrency.blocking.session import BlockingSession

__all__ = [
    "BlockingDelivery",
    "BlockingEvent",
    "BlockingLease",
    "BlockingLock",
    "BlockingQueue",
    "BlockingRateLimit",
    "BlockingReadersWritersLease",
    "BlockingResult",
    "BlockingSemaphore",
    "BlockingSession",
]
