"""The errors, with one root.

ConcurrencyError
|- QueueFull            also asyncio.QueueFull
|- QueueEmpty           also asyncio.QueueEmpty
|- QueueShutDown        also asyncio.QueueShutDown, where Python has it (3.13)
|- LeaseLost
|  `- StaleDelivery
|- EffectRefused        also ValueError
|- IdConflict           also ValueError
|- MessageTooLarge      also ValueError
|- ServerUnavailable    also ConnectionError
`- ServerRefused
"""

import asyncio
import sys


class ConcurrencyError(Exception):
    """The root of all errors of this package."""


class QueueFull(ConcurrencyError, asyncio.QueueFull):
    """The queue is full: `put` would wait for room."""


class QueueEmpty(ConcurrencyError, asyncio.QueueEmpty):
    """Nothing can be delivered now: `get` would wait."""


if sys.version_info >= (3, 13):

    class QueueShutDown(ConcurrencyError, asyncio.QueueShutDown):
        """The queue is shut down; `reopen()` ends that."""

else:

    class QueueShutDown(ConcurrencyError):
        """The queue is shut down; `reopen()` ends that."""


class LeaseLost(ConcurrencyError):
    """The deadline of a lease passed, or another holds it now: stop the work it guarded."""


class StaleDelivery(LeaseLost):
    """This delivery is no longer yours to settle; nothing was changed.

    It was settled before, or its session passed its deadline and the message was recovered: somebody else handles it.
    """


class EffectRefused(ConcurrencyError, ValueError):
    """An effect can not be written as it is; nothing was, and the delivery is still yours to settle."""


class IdConflict(ConcurrencyError, ValueError):
    """The id is known with another body: use a new id for a new message."""


class MessageTooLarge(ConcurrencyError, ValueError):
    """The encoded message is larger than `max_message_bytes`: send a reference to the data instead."""


class ServerUnavailable(ConcurrencyError, ConnectionError):
    """No server answered within the time allowed: is the address right, and does it run?"""


class ServerRefused(ConcurrencyError):
    """The server answered, but can not be used as it is: the message says what to change."""
