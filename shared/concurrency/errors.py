"""The errors, with one root.

ConcurrencyError
|- QueueFull            also asyncio.QueueFull
|- QueueEmpty           also asyncio.QueueEmpty
|- QueueShutDown        also asyncio.QueueShutDown, where Python has it (3.13)
|- LeaseBusy
|- LeaseLost
|  `- StaleDelivery
|- EffectRefused        also ValueError
|- IdConflict           also ValueError
|- MessageTooLarge      also ValueError
|- MessageCancelled
|- RemoteError
|- InvalidResult        also ValueError
|  `- ResultTooLarge    also MessageTooLarge
|- ResultLost
|- UnknownId            also LookupError
|- ServerUnavailable    also ConnectionError
|- ServerRefused
|- BrokenBarrierError   also asyncio.BrokenBarrierError
`- WrongLoop            also RuntimeError
"""

import asyncio
import sys
from typing import Final

_LONGEST_TEXT: Final = 8192


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


class LeaseBusy(ConcurrencyError):
    """Somebody else holds it or waits for it: `acquire` would wait, or has waited for as long as `within` allows."""


class LeaseLost(ConcurrencyError):
    """The deadline of a lease passed, or another holds it now: stop the work it guarded."""


class StaleDelivery(LeaseLost):
    """This delivery is no longer yours to settle; nothing was changed.

    It was settled before, or its message was cancelled, or its session passed its deadline and the message was
    recovered: somebody else handles it.
    """


class EffectRefused(ConcurrencyError, ValueError):
    """An effect cannot be written as it is; nothing was, and the delivery is still yours to settle."""


class IdConflict(ConcurrencyError, ValueError):
    """The id is known with another body: use a new id for a new message."""


class MessageTooLarge(ConcurrencyError, ValueError):
    """The encoded message is larger than `max_message_bytes`: send a reference to the data instead."""


class MessageCancelled(ConcurrencyError):
    """The message was cancelled: while it waited for room, or while this body handled it. Nobody handles it again."""


class RemoteError(ConcurrencyError):
    """A submitted message failed for good: it is a dead letter. Or it was cancelled, by whomever."""

    def __init__(self, reason: str, error: str = "", traceback: str = "") -> None:
        """Keep what is known of it; the traceback is a note too."""
        super().__init__(reason, error, traceback)
        self.reason = reason
        """As on the dead letter: failed, crashed, shutdown, undecodable, invalid, unknown_type, too_new, too_large,
        invalid_result, or what `dead_letter()` or Reject was given; `cancelled` when somebody cancelled it, another
        submitter of the same id too."""
        self.error = error
        """Type and text of the exception, `ValueError: no such user`; empty where it is unknown."""
        self.traceback = traceback
        """Its traceback, cut to the last 8,192 characters; empty where there was none."""
        if traceback:
            self.add_note(f"where it was handled:\n{traceback}")

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}" if self.error else self.reason


class InvalidResult(ConcurrencyError, ValueError):
    """A result is not of the type that its message, or its queue, declares."""


class ResultTooLarge(InvalidResult, MessageTooLarge):
    """An encoded result is larger than `max_message_bytes`: return a reference to the data instead."""


class ResultLost(ConcurrencyError):
    """A result may have expired while this process was cut off or stopped, or the server has lost the queue."""


class UnknownId(ConcurrencyError, LookupError):
    """No message was submitted under this id, or it is forgotten: ids are known for `known_for` seconds."""


class ServerUnavailable(ConcurrencyError, ConnectionError):
    """No server answered within the time allowed: is the address right, and does it run?"""


class ServerRefused(ConcurrencyError):
    """The server answered, but cannot be used as it is: the message says what to change."""


class BrokenBarrierError(ConcurrencyError, asyncio.BrokenBarrierError):
    """The barrier is broken: somebody called `abort()`, or `reset()` while this task waited."""


class WrongLoop(ConcurrencyError, RuntimeError):
    """A session was used outside the event loop that opened it: another loop, a thread, or a forked child.

    Nothing was sent. Open a session there, or send the work to the loop: `asyncio.run_coroutine_threadsafe`.
    """


def describe(error: BaseException) -> str:
    """Return the type and the text of an exception, for a report: `ValueError: no such user`."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  # the __str__ of a user's class
        text = "(its text cannot be read)"
    # It may hold a message, or a page of HTML: more than that nobody keeps, and all of it would be copied on its way.
    return f"{type(error).__name__}: {text[:_LONGEST_TEXT]}" if text else type(error).__name__
