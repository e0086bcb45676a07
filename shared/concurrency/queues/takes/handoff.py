"""Handoff: a put given straight to an idle worker, with the wake-up (j.u.c. SynchronousQueue's name for it)."""

from shared.concurrency.queues.encoding.entry import RECEIPT, is_entry
from shared.concurrency.queues.membership.membership import Membership


class Handoff:
    """A delivery that was handed to this session; the next call confirms to the queue that it arrived."""

    def __init__(self, member: Membership) -> None:
        """Begin with nothing."""
        self._member = member
        self._receipt = b""
        self.left_behind = ""
        """A former session of this process to which a put was handed after it was over."""

    @property
    def receipt(self) -> bytes:
        """Of the delivery that was handed over; empty when there is none."""
        return self._receipt

    def accept(self, session_id: str, entry: bytes) -> bool:
        """Take note of a delivery; False when it went to a former session, which has to give it back.

        Anybody may publish to our channel: what is no entry, or for a session that was never ours, is passed over. If
        it was really handed over, it comes with the next answer.
        """
        if not is_entry(entry) or not session_id.startswith(f"{self._member.owner}."):
            return False
        self._member.look_at_clock()  # this process may have been stopped since it was sent
        if session_id != self._member.life.session_id:
            self.left_behind = session_id
            return False
        self._receipt = entry[:RECEIPT]
        self._member.held[self._receipt] = None
        return True

    def confirmed(self, entries: list[bytes]) -> list[bytes]:
        """The queue knows that it arrived; what else came with that answer: it may name the same delivery again."""
        known, self._receipt = self._receipt, b""
        return [entry for entry in entries if not entry.startswith(known)] if known else entries

    def forget(self) -> None:
        """The session is over, and what it was handed."""
        self._receipt = b""

    async def leave_behind(self) -> None:
        """Give back what went to a former session.

        :raises ConcurrencyError: when the server refuses.
        """
        if self.left_behind:
            session_id, self.left_behind = self.left_behind, ""
            await self._member.recovery.leave(session_id)
