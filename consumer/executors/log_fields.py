"""The fields by which a log names what is being handled."""

from typing import Any

from shared.concurrency import Batch, Delivery


def fields_of(work: Delivery[Any] | Batch[Any], handler: str, queue: str) -> dict[str, object]:
    """What names a delivery; a batch by its first, with how many there are."""
    together = {} if isinstance(work, Delivery) else {"batch": len(work)}
    first = work if isinstance(work, Delivery) else work[0]
    return {
        "type": type(first.item).__name__,
        "handler": handler,
        "queue": queue,
        "id": first.id,
        "attempt": first.attempt,
        **together,
    }
