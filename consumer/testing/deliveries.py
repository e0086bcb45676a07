"""Deliveries and batches without a queue, to test a handler alone: it runs as usual, the test checks its effects."""

from collections.abc import Sequence
from typing import Any, TypeVar

from consumer.executors.detached import Detached
from shared.concurrency import Batch, Delivery
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch, held_batch_of
from shared.concurrency.queues.effects.effects import writes_of
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.outgoing import middle_of
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.message import Message

M = TypeVar("M", bound=Message)


def delivery_of(message: M, *, attempt: int = 1) -> Delivery[M]:
    """Return a delivery of a message that is in no queue; `effects_of` returns what its handler has collected.

    The message has been encoded and decoded, as on its way through a queue.

    :raises ValueError: when the message would not come back the same, or `attempt` is not from 1 to 999,999.
    """
    return _handout_of(message, attempt, 1)


def batch_of(messages: Sequence[M], *, attempt: int = 1) -> Batch[M]:
    """Return a batch of messages that are in no queue, each as from `delivery_of`; `failures_of` returns which failed.

    :raises ValueError: as `delivery_of`, and without messages.
    """
    if not messages:
        raise ValueError("a batch has one message at least")
    return HeldBatch([_handout_of(message, attempt, number) for number, message in enumerate(messages, 1)])


def failures_of(batch: Batch[Any]) -> list[BaseException | None]:
    """Return what the handler had each delivery of the batch fail with, in order; None for those it did not."""
    held = held_batch_of(batch)
    return [held.error_of(handout) for handout in held.handouts]


def effects_of(delivery: Delivery[Any]) -> list[tuple[Any, ...]]:
    """Return the effects that the handler of a delivery has collected, in order.

    For example `("hincrby", "key", "field", 1)` or `("put", "queue", item)`.
    """
    return writes_of(delivery.effects).asked


def _handout_of(message: M, attempt: int, number: int) -> Handout[M]:
    """One that has been encoded and decoded; `number` makes its id."""
    if not 1 <= attempt <= 999_999:
        raise ValueError(f"attempt is from 1 to 999,999, not {attempt!r}")
    codec = Codec(type(message), LARGEST_MESSAGE)
    shape, body = codec.encode(message)
    counts = b"0%06d000" % (attempt - 1)
    entry = b"%016d%b%010d%b%b" % (
        number,
        b"testing-----",
        number,
        counts + middle_of(shape, message)[len(counts) :],
        body,
    )
    return Handout(Detached(), entry, codec.open(entry), ResultCodec(None, LARGEST_MESSAGE))
