"""Limits: what a queue limits, beside what a handler takes together."""

from collections.abc import Mapping

from consumer.rules.errors import HandlerError
from consumer.rules.handler import Handler
from shared.concurrency import Queue
from shared.message import Message


async def check_batches(queue: Queue[Message], handlers: Mapping[type[Message], Handler], usual_queue: str) -> None:
    """Check that a batch can fill: no more of it than the limit of its class lets into hands at once.

    What is known is the limit that a class declares for all its messages, and its number when the service starts.

    :raises HandlerError: when one is larger; the message says what to write.
    """
    asked = {
        message_class: (batch.most, way.limit)
        for message_class, handler in handlers.items()
        if (batch := handler.rules.batch) is not None
        and (handler.queue or usual_queue) == queue.name
        and (way := message_class.declared_way()) is not None
        and way.limit is not None
    }
    if not asked:
        return
    at_once = {limit.name: limit.at_once for limit in await queue.limits()}
    for message_class, (most, name) in asked.items():
        number = at_once.get(name)
        if number is not None and most > number:
            raise HandlerError(
                f"{message_class.__name__}: a batch of {most} never fills, for the limit {name} lets {number} into hands at "
                f"once: write Gather(most={number}, ...), or raise the limit"
            )
