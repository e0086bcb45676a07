"""What becomes of a delivery whose handler did not return."""

from typing import TypeVar

import structlog

from consumer.outcomes import Reject, Retry
from consumer.rules.errors import ProcessEnded, ProcessFailure, UnsendableResult, describe
from consumer.rules.rules import Rules
from shared.concurrency import StaleDelivery
from shared.concurrency.checks import check_delay
from shared.concurrency.queues.handout import INVALID_RESULT, Handout
from shared.concurrency.queues.settling import Settler

T = TypeVar("T")

log = structlog.get_logger(__name__)


def settle_failed(settler: Settler, handout: Handout[T], error: BaseException, rules: Rules, *, queue: str) -> None:
    """Log what happened, and settle by the rules of the message's class unless the handler has settled."""
    if isinstance(error, StaleDelivery) and handout.state != "held":
        log.warning(
            "stale delivery: settled or recovered elsewhere", queue=queue, id=handout.stored.id, problem=str(error)
        )
        return
    if isinstance(error, Reject):
        log.warning("the handler rejected the message", id=handout.stored.id, reason=error.reason)
        if handout.state == "held":
            settler.settle_later(handout, "dead", error.reason, _cause(error), trace=handout.trace_of(error))
        return
    if isinstance(error, UnsendableResult) or handout.is_unsendable(error):
        report = describe(error)
        log.warning(
            "the handler's result cannot be sent: the message is a dead letter", id=handout.stored.id, error=report
        )
        if handout.state == "held":
            settler.settle_later(handout, "dead", INVALID_RESULT, report, trace=handout.trace_of(error))
        return
    delay = _delay(error, handout, rules)
    # The last one is followed by the line that tells of the dead letter.
    again = {} if settler.is_last_attempt(handout, rules.attempts) else {"again_in": round(delay, 2)}
    if isinstance(error, Retry):
        report = _cause(error) or error.reason
        log.info(
            "the handler requested a retry",
            id=handout.stored.id,
            attempt=handout.stored.attempt,
            reason=report,
            **again,
        )
    else:
        report = describe(error)
        log.warning(
            "the handler failed",
            id=handout.stored.id, attempt=handout.stored.attempt, error=report, **again, exc_info=_shown(error),
        )  # fmt: skip
    if handout.state == "held":
        kind = "crash" if isinstance(error, ProcessEnded) else "nack"
        settler.settle_later(
            handout, kind, check_delay(delay), report, attempts=rules.attempts, trace=handout.trace_of(error)
        )


def _delay(error: BaseException, handout: Handout[T], rules: Rules) -> float:
    if isinstance(error, Retry) and error.after is not None:
        return error.after
    return rules.backoff.delay(handout.stored.failures)


def _shown(error: BaseException) -> BaseException | None:
    """Return the exception to log with its traceback.

    The traceback of a handler in a process is in the notes of the exception; the rest would be our own code.
    """
    if isinstance(error, ProcessEnded):
        return None
    return error.with_traceback(None) if isinstance(error, ProcessFailure) else error


def _cause(error: BaseException) -> str:
    return "" if error.__cause__ is None else describe(error.__cause__)
