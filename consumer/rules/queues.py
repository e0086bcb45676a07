"""Queues: which of them a consumer takes from, by what its handlers and its settings say."""

from collections.abc import Iterable

from consumer.rules.errors import HandlerError
from consumer.rules.handler import Handler
from shared.queue_settings import concurrency_of, queue_name
from shared.settings import Settings


def check_queue(queue: object) -> None:
    """Check what `@handles(queue=)` was given.

    :raises HandlerError: when it is no name.
    """
    try:
        if queue is not None:
            queue_name(queue if isinstance(queue, str) else "")
    except ValueError as error:
        raise HandlerError(f"queue={queue!r:.100}: {error}") from None


def queues_of(handlers: Iterable[Handler], settings: Settings) -> dict[str, int]:
    """Return the queues that a consumer takes from, each with how many deliveries it handles at once.

    :raises HandlerError: when PIPELINE_QUEUES names one that no handler is of.
    """
    named = sorted({handler.queue or settings.queue for handler in handlers})
    if settings.queues is None:
        return dict.fromkeys(named, settings.concurrency)
    served = concurrency_of(settings.queues, settings.concurrency)
    if unknown := [name for name in served if name not in named]:
        raise HandlerError(
            f"PIPELINE_QUEUES: no handler is of the queue {unknown[0]}: those of this consumer are of {', '.join(named)}; "
            f'write `@handles(..., queue="{unknown[0]}")`, or leave it out'
        )
    return served
