"""What becomes of a delivery whose handler did not return."""

from typing import TypeVar

import structlog

from consumer.outcomes import Reject, Retry
from consumer.rules.errors import ProcessEnded, ProcessFailure, describe
from consumer.rules.rules import Rules
from shared.concurrency import Delivery, StaleDelivery
from shared.concurrency.queues.delivery import milliseconds
from shared.concurrency.queues.prefetch import Prefetch

T = TypeVar("T")

log = structlog.get_logger(__name__)


def settle_failed(intake: Prefetch[T], delivery: Delivery[T], error: BaseException, rules: Rules) -> None:
    """Settle by the rules of the message's class, unless the handler has settled it; and log what happened."""
    if isinstance(error, StaleDelivery) and not delivery.held:
        log.warning("a delivery was not ours any more", id=delivery.id, problem=str(error))
        return
    if isinstance(error, Reject):
        log.warning("the handler rejected the message", id=delivery.id, reason=error.reason)
        if delivery.held:
            intake.settle(delivery, "dead", error.reason, _cause(error), trace=delivery.trace_of(error))
        return
    delay = _delay(error, delivery, rules)
    if isinstance(error, Retry):
        report = _cause(error) or error.reason
        log.info("to be tried again", id=delivery.id, attempt=delivery.attempt, reason=report, again_in=round(delay, 2))
    else:
        report = describe(error)
        log.warning(
            "the handler failed",
            id=delivery.id, attempt=delivery.attempt, error=report, again_in=round(delay, 2), exc_info=_shown(error),
        )  # fmt: skip
    if delivery.held:
        kind = "crash" if isinstance(error, ProcessEnded) else "nack"
        intake.settle(
            delivery, kind, milliseconds(delay), report, attempts=rules.attempts, trace=delivery.trace_of(error)
        )


def _delay(error: BaseException, delivery: Delivery[T], rules: Rules) -> float:
    if isinstance(error, Retry) and error.after is not None:
        return error.after
    return rules.backoff.delay(delivery.failures)


def _shown(error: BaseException) -> BaseException | None:
    """The exception whose traceback is of use: of a handler in a process that is in the notes, the rest is our own."""
    if isinstance(error, ProcessEnded):
        return None
    return error.with_traceback(None) if isinstance(error, ProcessFailure) else error


def _cause(error: BaseException) -> str:
    return "" if error.__cause__ is None else describe(error.__cause__)
