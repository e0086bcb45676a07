"""Deliveries without a queue, to test a handler alone: it runs as usual, and the test checks its effects."""

from typing import Any, TypeVar

from consumer.executors.detached import Detached
from shared.concurrency import Delivery
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.effects.effects import writes_of
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.message import Message

M = TypeVar("M", bound=Message)


def delivery_of(message: M, *, attempt: int = 1) -> Delivery[M]:
    """Return a delivery of a message that is in no queue; `effects_of` returns what its handler has collected.

    The message has been encoded and decoded, as on its way through a queue.

    :raises ValueError: when the message would not come back the same, or `attempt` is not from 1 to 999,999.
    """
    if not 1 <= attempt <= 999_999:
        raise ValueError(f"attempt is from 1 to 999,999, not {attempt!r}")
    codec = Codec(type(message), LARGEST_MESSAGE)
    shape, body = codec.encode(message)
    counts = b"0%06d000" % (attempt - 1)
    entry = b"%016d%b%010d%b%b" % (1, b"testing-----", 1, counts + shape.middle[len(counts) :], body)
    return Handout(Detached(), entry, codec.open(entry), ResultCodec(None, LARGEST_MESSAGE))


def effects_of(delivery: Delivery[Any]) -> list[tuple[Any, ...]]:
    """Return the effects that the handler of a delivery has collected, in order.

    For example `("hincrby", "key", "field", 1)` or `("put", "queue", item)`.
    """
    return writes_of(delivery.effects).asked
