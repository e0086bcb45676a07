"""Delivery: a message in somebody's hands, as a handler sees it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, TypeVar

from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.encoding.entry import Stored
from shared.concurrency.queues.encoding.flow import Priority

T = TypeVar("T")


class Delivery(ABC, Generic[T]):
    """A message in your hands: yours until you settle it or your session ends.

    `async with delivery as item:` acknowledges on a clean exit, nacks on any exception and gives back on cancellation
    (neither a failure nor a crash); each waits for the server's answer. It nacks without a delay: where what failed may
    be away for a while, catch the exception and `nack(delay=)`. When the session passes its deadline inside the
    block, the body is cancelled and StaleDelivery raised in its place: the message was recovered, somebody else
    handles it. When somebody cancels the message, the body is cancelled and MessageCancelled raised in its place. A
    cancellation from outside wins over both, as with asyncio.timeout.

    A delivery that is garbage-collected unsettled is given back, with a ResourceWarning.
    """

    __slots__ = ()

    item: T
    """The message."""

    @property
    @abstractmethod
    def _stored(self) -> Stored: ...

    @property
    def id(self) -> str:
        """The `id=` given to `put`, or a generated one; the same for every delivery of the message."""
        return self._stored.id

    @property
    def key(self) -> str | None:
        """The key whose messages are handled in order, or None.

        As it was given, where it is 1 to 64 printable ASCII characters without spaces, quotes and backslashes; else as
        it is stored, `~` and 24 hexadecimal digits.
        """
        return self._stored.way.key

    @property
    def share(self) -> str | None:
        """The share that the message belongs to, or None; as `key`."""
        return self._stored.way.share

    @property
    def priority(self) -> Priority:
        """The priority that it was put with."""
        priority = self._stored.way.priority
        return Priority.NORMAL if priority is None else Priority(priority)

    @property
    def attempt(self) -> int:
        """Which delivery of the message this is, from 1: failures, crashes and returns all count."""
        return self._stored.attempt

    @property
    def version(self) -> int:
        """The version of its class that wrote the message; `item` is of the version that this process has."""
        return self._stored.version

    @property
    def failures(self) -> int:
        """How many deliveries of the message failed before this one."""
        return self._stored.failures

    @property
    def first_error(self) -> str | None:
        """What was wrong at the first failure, cut to 300 characters; None when nobody said, or none failed."""
        return self._stored.first_error

    @property
    def last_error(self) -> str | None:
        """What was wrong at the last failure before this delivery, likewise."""
        return self._stored.last_error

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether somebody has cancelled the message: nothing that is done from then on is kept; in any thread."""

    @property
    @abstractmethod
    def effects(self) -> Effects:
        """Writes to be made with the acknowledgement, and only with it; see Effects."""

    @abstractmethod
    async def ack(self, result: object = None) -> None:
        """Finish: the message is done with, and its effects are written. Waits for the server's answer.

        A cancelled caller leaves the acknowledgement on its way. An outage is waited out, and with effects a full
        memory too. `result` goes to whoever submitted the message; where nobody did, it is ignored.

        :raises StaleDelivery: when it is not yours any more, or was settled before; nothing is changed.
        :raises InvalidResult: when the result cannot be sent (ResultTooLarge: it is over `max_message_bytes`); the
            delivery is still yours to settle. Where the error leaves the handler, or the `async with`, the message
            becomes a dead letter, `invalid_result`.
        :raises EffectRefused: when an effect cannot be written; none is, and the delivery is still yours to settle.
        """

    @abstractmethod
    async def nack(self, *, delay: float = 0.0, hold_key: bool = True) -> None:
        """Report a failure: the message comes again after `delay` seconds, or is a dead letter after `max_attempts`.

        A message with a key holds it meanwhile: those behind it wait. `hold_key=False` lets them pass: where there are
        some, the message goes behind the last of them, and the delay begins when its turn comes.

        :raises ValueError: when the delay is negative or no number.
        :raises StaleDelivery: as `ack`.
        """

    @abstractmethod
    async def dead_letter(self, reason: str) -> None:
        """Give up on the message: it becomes a dead letter with this reason.

        :raises ValueError: when there is no reason, or one of more than 1,000 characters.
        :raises StaleDelivery: as `ack`.
        """

    @abstractmethod
    async def progress(self, fraction: float, text: str = "") -> None:
        """Tell whoever submitted the message how far it is; does nothing where nobody did.

        `fraction`: what is done, from 0 to 1. Sent on the next turn of the loop. Only the newest unsent report of a
        delivery is kept. A hint: it is lost with a connection.

        :raises ValueError: when the fraction is out of range, or the text is none.
        :raises StaleDelivery: when it is not yours any more, as far as is known here.
        """

    @abstractmethod
    def report(self, fraction: float, text: str = "") -> None:
        """As `progress`, for a handler that cannot await: in a thread, and in a process of its own.

        :raises ValueError, StaleDelivery: as `progress`.
        """

    @abstractmethod
    async def __aenter__(self) -> T: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __dir__(self) -> list[str]:
        # What rooms keep in it beside is none of a handler's business.
        return sorted(set(dir(Delivery)) | {"item"})
