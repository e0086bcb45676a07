"""BlockingDelivery: a message in the hands of synchronous code."""

from types import TracebackType
from typing import Final, Generic, TypeVar

from shared.concurrency import Delivery, Effects, MessageCancelled
from shared.concurrency.blocking.background import Background

T = TypeVar("T")


class BlockingDelivery(Generic[T]):
    """One handing-out of a message; `with q.get() as item:` acknowledges at a clean exit, and nacks at an exception.

    Nothing interrupts synchronous code: where the message was cancelled meanwhile, or the session passed its deadline,
    `cancelled` and the settling say so, and the end of the `with` raises.
    """

    def __init__(self, background: Background, delivery: Delivery[T]) -> None:
        """Made by `BlockingQueue.get`."""
        self._background: Final = background
        self._delivery: Final = delivery
        self._is_settled = False

    @property
    def item(self) -> T:
        """The message."""
        return self._delivery.item

    @property
    def id(self) -> str:
        """As Delivery.id."""
        return self._delivery.id

    @property
    def key(self) -> str | None:
        """As Delivery.key."""
        return self._delivery.key

    @property
    def attempt(self) -> int:
        """Which delivery of the message this is, from 1."""
        return self._delivery.attempt

    @property
    def version(self) -> int:
        """As Delivery.version."""
        return self._delivery.version

    @property
    def failures(self) -> int:
        """How many deliveries of the message failed before this one."""
        return self._delivery.failures

    @property
    def first_error(self) -> str | None:
        """As Delivery.first_error."""
        return self._delivery.first_error

    @property
    def last_error(self) -> str | None:
        """As Delivery.last_error."""
        return self._delivery.last_error

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled the message: nothing that is done from then on is kept."""
        return self._delivery.cancelled

    @property
    def effects(self) -> Effects:
        """Writes to be made with the acknowledgement, and only with it."""
        return self._delivery.effects

    def ack(self, result: object = None) -> None:
        """Finish: the message is done with, and its effects are written. Raises as Delivery.ack."""
        self._background.call(lambda: self._delivery.ack(result))
        self._is_settled = True

    def nack(self, *, delay: float = 0.0, hold_key: bool = True) -> None:
        """Report a failure: it comes again after `delay` seconds, or is a dead letter. Raises as Delivery.nack."""
        self._background.call(lambda: self._delivery.nack(delay=delay, hold_key=hold_key))
        self._is_settled = True

    def dead_letter(self, reason: str) -> None:
        """Give up on the message. Raises as Delivery.dead_letter."""
        self._background.call(lambda: self._delivery.dead_letter(reason))
        self._is_settled = True

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell whoever submitted the message how far it is. Raises as Delivery.progress."""
        self._background.call(lambda: self._delivery.progress(fraction, text))

    def __enter__(self) -> T:
        return self.item

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_settled:
            return
        try:
            self._background.call(lambda: self._leave(error))
        except Exception as failed:
            if error is None:
                raise
            if failed is not error:
                error.add_note(f"and the delivery could not be settled: {failed}")
        finally:
            self._is_settled = True
            if error is not None:
                error.__traceback__ = trace  # without our own frames

    async def _leave(self, error: BaseException | None) -> None:
        """Settle as the end of an `async with` does."""
        if error is None and self._delivery.cancelled:
            raise MessageCancelled(f"the message {self.id} was cancelled while it was handled")
        if error is not None and not isinstance(error, Exception):
            await self._delivery.nack()  # a KeyboardInterrupt must not end the thread of the session
            return
        async with self._delivery:
            if error is not None:
                raise error
