"""What becomes of a delivery whose handler did not return."""

import math
from typing import Any, TypeVar

from consumer.outcomes import Reject, Retry
from consumer.rules.errors import ProcessEnded, ProcessFailure, UnsendableResult, describe
from consumer.rules.rules import Rules
from shared.concurrency import StaleDelivery
from shared.concurrency.checks import check_delay
from shared.concurrency.queues.deliveries.handout import INVALID_RESULT, Handout
from shared.concurrency.queues.deliveries.settling import Settler
from shared.logs import Log

T = TypeVar("T")

log = Log("consumer")


def settle_failed(
    settler: Settler, handout: Handout[T], error: BaseException, rules: Rules, *, queue: str, of: int = 1
) -> None:
    """Settle by the rules of the message's class unless the handler has settled; log what happened.

    `of`: for how many deliveries of a batch the line in the log stands, 0 for no line.
    """
    if isinstance(error, StaleDelivery) and handout.state != "held":
        log.warning("stale delivery: settled or recovered elsewhere", queue=queue, id=handout.id, problem=str(error))
        return
    if isinstance(error, Reject):
        _dead_letter(settler, handout, error.reason, _cause(error), error)
        if of:
            log.warning("the handler rejected the message", **about(handout, of), reason=error.reason)
        return
    if isinstance(error, UnsendableResult) or handout.is_unsendable(error):
        report = describe(error)
        _dead_letter(settler, handout, INVALID_RESULT, report, error)
        if of:
            text = "the handler's result cannot be sent: the message is a dead letter"
            log.warning(text, **about(handout, of), error=report)
        return
    _nack(settler, handout, error, rules, of)


def _dead_letter(settler: Settler, handout: Handout[T], reason: str, report: str, error: BaseException) -> None:
    if handout.state == "held":
        settler.settle_later(handout, "dead", reason, report, trace=handout.trace_of(error))


def about(handout: Handout[T], of: int) -> dict[str, Any]:
    """What names it in the log, or `of` deliveries of a batch that begin with it."""
    return {"id": handout.id} if of <= 1 else {"id": handout.id, "batch": of}


def _nack(settler: Settler, handout: Handout[T], error: BaseException, rules: Rules, of: int) -> None:
    report = (_cause(error) or error.reason) if isinstance(error, Retry) else describe(error)
    delay = _delay(error, handout, rules)
    # A Retry may not count; what the handler has settled itself neither fails nor comes again by this.
    counts, is_held = not isinstance(error, Retry) or error.counts, handout.state == "held"
    is_last = is_held and counts and settler.is_last_attempt(handout, rules.attempts)
    if is_held:
        kind, value = _settlement(error, check_delay(delay))
        settler.settle_later(handout, kind, value, report, attempts=rules.attempts, trace=handout.trace_of(error))
    if not of:
        return
    # The last one is followed by the line that reports the dead letter. What was settled before does not come again.
    again = {"again_in": round(delay, 2)} if is_held and not is_last else {}
    text = "the handler failed" if not isinstance(error, Retry) else "the handler requested a retry"
    text = f"{text} for the last time" if is_last else text
    if isinstance(error, Retry):
        log.info(
            text,
            **about(handout, of), attempt=handout.attempt, reason=report, counts=error.counts, **again,
        )  # fmt: skip
        return
    shown, fields = _shown(error), {**about(handout, of), "attempt": handout.attempt, "error": report, **again}
    if shown is None:
        log.warning(text, **fields)
    else:
        log.traceback(shown, text, **fields)


def _settlement(error: BaseException, delay_ms: int) -> tuple[str, int | str]:
    """Return the kind of settlement and its value; see Settlements.add."""
    if isinstance(error, Retry) and error.within is not None:
        return "wait", f"{delay_ms} {math.ceil(error.within * 1000)}"
    if isinstance(error, Retry) and not error.hold_key:
        return "pass", delay_ms
    return "crash" if isinstance(error, ProcessEnded) else "nack", delay_ms


def _delay(error: BaseException, handout: Handout[T], rules: Rules) -> float:
    if isinstance(error, Retry) and error.after is not None:
        return error.after
    return rules.backoff.delay(handout.failures)


def _shown(error: BaseException) -> BaseException | None:
    """Return the exception to log with its traceback.

    The traceback of a handler in a process is in the notes of the exception; the rest would be our own code.
    """
    if isinstance(error, ProcessEnded):
        return None
    return error.with_traceback(None) if isinstance(error, ProcessFailure) else error


def _cause(error: BaseException) -> str:
    return "" if error.__cause__ is None else describe(error.__cause__)
