"""Idle: whether this session is registered as waiting for work, and when it looks again by itself."""


class Idle:
    """A script that finds nothing registers the session as idle; a put wakes one of those (rule 11)."""

    def __init__(self) -> None:
        """Begin unregistered."""
        self.is_registered = False
        """Whether the queue may wake this session."""
        self.takes_handoffs = False
        """Whether a put may hand it a message with that."""
        self.is_woken = False
        """Whether it was woken since the last call: it looks, and passes the wake-up on when it wants nothing."""
        self._look_again_at = 0.0

    def register(self, *, is_registered: bool, takes_handoffs: bool, look_again_at: float) -> None:
        """Take note of an answer; without a wake-up the session looks again at that time of the loop."""
        self.is_registered = is_registered
        self.takes_handoffs = takes_handoffs
        self._look_again_at = look_again_at

    def wake(self) -> None:
        """Take note of a wake-up, which ends the registration."""
        self.is_registered = False
        self.is_woken = True

    def forget(self) -> None:
        """The session is over, and what it was registered for."""
        self.is_registered = self.is_woken = False

    def rests_for(self, now: float) -> float:
        """For how many seconds it may rely on being woken; 0 when it is not registered, or has to look."""
        return max(0.0, self._look_again_at - now) if self.is_registered else 0.0
