"""The lane of progress: how far handlers are, the newest report of each delivery."""

from typing import ClassVar, Final

from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.calls import Call
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load

log = Log("queues")

_LONGEST_TEXT: Final = 1000


class ProgressLane(Lane[Call]):
    """What the handlers of one process report to those who submitted messages to one queue. A hint: it may get lost."""

    NAME: ClassVar = "weir-progress"

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to report."""
        super().__init__(member)
        self._reports: dict[bytes, tuple[bytes, bytes]] = {}

    def report(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """Report with the next call. Only the newest unsent report of a delivery is kept.

        `is_kept`: whether the server keeps it, for those who listen to the result by the id of the message.
        """
        self._reports[receipt] = progress, b"kept" if is_kept else b""
        self.kick()

    def due(self) -> float | None:
        """At once, when there is a report."""
        return 0 if self._reports else None

    def is_unsent(self) -> bool:
        """Whether a report waits."""
        return bool(self._reports)

    def compose(self) -> Call:
        """All reports there are."""
        reports, self._reports = self._reports, {}
        words = [word for receipt, report in reports.items() for word in (receipt, *report)]
        return Call(load("progress"), self._member.keys, (self._member.session_id, *words))

    async def send(self, call: Call) -> None:
        """Send it once: a report that is lost is not worth a repetition."""
        await self._member.calls.once(call)

    def fail(self, call: Call | None, error: Exception) -> None:
        """Nobody waits for a report."""
        self._reports.clear()
        if call is not None:
            log.debug("progress was not reported", queue=self._member.name, problem=str(error))


def write_progress(fraction: float, text: str) -> bytes:
    """A report as it travels.

    :raises ValueError: when the fraction is out of range, or the text is none.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
        raise ValueError(f"a fraction is a number from 0 to 1, not {fraction!r:.100}")
    if not isinstance(text, str):
        raise ValueError(f"what is said of the progress is a text, not {text!r:.100}")  # noqa: TRY004
    return f"{fraction:g} {text[:_LONGEST_TEXT]}".encode("utf-8", "backslashreplace")
