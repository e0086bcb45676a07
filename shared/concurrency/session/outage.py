"""Outage: an operator reads in the log when something stopped, why, for how long, and that it goes on again."""

from typing import Final

from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log

_AGAIN: Final = 30.0
_MOST_REASONS: Final = 10


class Outage:
    """Reports one kind of trouble: when it begins, every 30 s while it lasts, with each new reason, when it is over."""

    def __init__(self, log: Log, lost: str, back: str, **fields: object) -> None:
        """`lost` and `back`: the two texts; `fields` stand in every line."""
        self._log = log
        self._lost = lost
        self._back = back
        self._fields = fields
        self._since: float | None = None
        self._report_at = 0.0
        self._reasons: set[str] = set()

    @property
    def seconds(self) -> float:
        """For how long it lasts; 0 when there is none."""
        return 0.0 if self._since is None else boottime() - self._since

    def goes_on(self, problem: str) -> None:
        """Take note of trouble, in the server's own words."""
        now = boottime()
        if self._since is None:
            self._since, self._report_at = now, now + _AGAIN
            self._reasons = {problem}
            self._log.warning(self._lost, problem=problem, **self._fields)
        elif now >= self._report_at or (problem not in self._reasons and len(self._reasons) < _MOST_REASONS):
            # The first may be a broken pipe, and the server's words come with the next.
            self._report_at = now + _AGAIN
            self._reasons.add(problem)
            self._log.warning(self._lost, problem=problem, for_seconds=round(now - self._since, 1), **self._fields)

    def is_over(self) -> None:
        """Take note that it is over; does nothing when there is none."""
        if self._since is not None:
            seconds, self._since = self.seconds, None
            self._log.warning(self._back, after_seconds=round(seconds, 1), **self._fields)
