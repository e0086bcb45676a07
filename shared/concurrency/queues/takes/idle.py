"""Idle: whether this session is registered as waiting for work, and when it looks again by itself."""

import math

from shared.concurrency.session.insurance import next_look


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
        self.look_again_at = 0.0
        """Until when a session that is registered may rely on being woken, by the loop's clock: then it looks."""
        self._rests_since = math.inf

    def wake(self) -> None:
        """Take note of a wake-up, which ends the registration."""
        self.is_registered = False
        self.is_woken = True
        self._rests_since = math.inf

    def handed(self) -> None:
        """Take note that a put handed it a message, which ends the registration, too."""
        self.is_registered = False
        self._rests_since = math.inf

    def look_in(self, seconds: float, now: float, *, has_taken: bool) -> None:
        """Look in so many seconds at the latest; `has_taken`: the answer to the last call brought something."""
        if has_taken or self._rests_since == math.inf:
            self._rests_since = now
        self.look_again_at = now + min(seconds, next_look(now - self._rests_since))

    def forget(self) -> None:
        """The session is over, and what it was registered for."""
        self.is_registered = self.is_woken = False
