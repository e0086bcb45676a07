"""What a handler raises to decide what becomes of its message."""

from shared.concurrency.checks import check_delay, check_reason


class Retry(Exception):
    """This attempt failed, as expected: the message comes again, or is a dead letter once its attempts are spent.

    Logged without a traceback. `raise Retry(after=30) from error` keeps that error with the message.
    """

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        """`after`: seconds until it comes again, by the server's clock and no sooner; None for the handler's backoff.

        :raises ValueError: when `after` is negative, not a number, or longer than ten years.
        """
        super().__init__(reason)
        if after is not None:
            check_delay(after)
        self.after = after
        self.reason = reason


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
