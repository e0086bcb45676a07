"""What a handler raises to say what becomes of its message."""

from shared.concurrency.checks import check_delay, check_reason


class Retry(Exception):
    """This hand-out failed, as expected: the message comes again, or is a dead letter once its attempts are spent.

    Logged without a traceback. `raise Retry(after=30) from error` keeps that error with the message.
    """

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        """`after`: seconds until it comes again, by the server's clock and no sooner; None for the handler's backoff.

        :raises ValueError: when that is negative, no number, or longer than ten years.
        """
        super().__init__(reason)
        if after is not None:
            check_delay(after)
        self.after = after
        self.reason = reason


class Reject(Exception):
    """The message is not to be handled, now or later: it becomes a dead letter at once.

    `raise Reject("no such user") from error` keeps that error with the message.
    """

    def __init__(self, reason: str) -> None:
        """`reason`: what stands on the dead letter.

        :raises ValueError: when it is no text of 1 to 1,000 characters.
        """
        super().__init__(check_reason(reason))
        self.reason = reason
