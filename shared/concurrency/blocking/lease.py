"""BlockingLease: what a holder in synchronous code holds."""

from typing import Final

from shared.concurrency import Lease
from shared.concurrency.blocking.background import Background


class BlockingLease:
    """The right to something until a deadline; renewed by the thread of the session while the process is well.

    Nothing interrupts synchronous code: when it is lost, `check()` raises, and so does the end of the `with`. Call
    `check()` right before what must not be done late, and hand `token` to the store that is written to.
    """

    def __init__(self, background: Background, lease: Lease, *, is_joined: bool = False) -> None:
        """Made by what is leased. `is_joined`: an outer `with` of the same thread gives it back."""
        self._background: Final = background
        self._lease: Final = lease
        self._is_joined: Final = is_joined
        self._is_released = False

    @property
    def name(self) -> str:
        """What is leased."""
        return self._lease.name

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier grant under this name."""
        return self._lease.token

    @property
    def mode(self) -> str:
        """What it allows: read, write or permit."""
        return self._lease.mode

    @property
    def seconds_left(self) -> float:
        """For how long it may be relied on if it is not renewed; 0.0 when it is lost or released."""
        return 0.0 if self._is_released else self._lease.seconds_left

    @property
    def is_released(self) -> bool:
        """Whether `release` was called."""
        return self._is_released

    def check(self) -> None:
        """Raise LeaseLost unless it is held at this moment, by the local clock; asks nobody."""
        self._lease.check()

    def release(self) -> None:
        """Give it back, and wait for the server's answer.

        :raises LeaseLost: when it was lost, or released before.
        """
        if self._is_joined and not self._is_released:
            self._lease.check()
        else:
            self._background.call(self._lease.release)
        self._is_released = True

    def joined(self) -> "BlockingLease":
        """The same lease once more, for an inner `with` of the thread that holds it."""
        return BlockingLease(self._background, self._lease, is_joined=True)
