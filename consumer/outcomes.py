"""What a handler raises to decide what becomes of its message."""

from typing import Final

from shared.concurrency.checks import check_delay, check_reason, check_seconds

_A_DAY: Final = 86400.0
_TEN_YEARS: Final = 3650 * _A_DAY


class Retry(Exception):
    """This attempt failed, as expected: the message comes again, or is a dead letter once its attempts are spent.

    Logged without a traceback. `raise Retry(after=30) from error` keeps that error with the message.

    `Retry(after=30, counts=False)` waits for a precondition, another message's work or an hour of the day: the attempt
    is no failure, until `within` seconds have passed since the first of these waits of this message. From then on each
    counts, so that a message whose precondition never comes is a dead letter in the end. Meanwhile it keeps its room.

    A message with a key holds it until it comes again. `Retry(hold_key=False)` lets those behind it pass: it goes to
    the end of its key's line.
    """

    def __init__(
        self,
        after: float | None = None,
        reason: str = "",
        *,
        counts: bool = True,
        within: float | None = None,
        hold_key: bool = True,
    ) -> None:
        """`after`: seconds until it comes again, by the server's clock and no sooner; None for the handler's backoff.

        `counts`: whether it is a failure. `within`: where it is not, seconds since the first time, by the server's
        clock; None for a day.

        :raises ValueError: when `after` is negative, not a number, or longer than a week; or 0 where it does not
            count, for then it would come again at once, for ever. When `within` is longer than ten years or no number,
            or `counts` is True.
            When neither it counts nor holds its key.
        """
        super().__init__(reason)
        if after is not None and check_delay(after) == 0 and not counts:
            raise ValueError("after= is more than 0 where counts=False: the message would come again at once, for ever")
        if within is not None and counts:
            raise ValueError("within= says for how long it is no failure: it goes with counts=False")
        if not counts and not hold_key:
            raise ValueError("hold_key=False goes with a failure: one that waits for a precondition keeps its place")
        self.hold_key = hold_key
        self.after = after
        self.reason = reason
        self.counts = counts
        self.within = None if counts else check_seconds("within=", _A_DAY if within is None else within, 0, _TEN_YEARS)


class Reject(Exception):
    """The message must not be handled, now or later: it becomes a dead letter at once.

    `raise Reject("no such user") from error` keeps that error with the message.
    """

    def __init__(self, reason: str) -> None:
        """`reason`: the text that the dead letter keeps.

        :raises ValueError: when it is not a text of 1 to 1,000 characters.
        """
        super().__init__(check_reason(reason))
        self.reason = reason
