"""Lease: what every holder holds - a token, a deadline, and the way to give it back."""

import asyncio

from shared.concurrency.locks.leases.reentry import enter_by_hand
from shared.concurrency.locks.leases.tenure import Tenure


class Lease:
    """The right to something until a deadline; renewed by itself while the process is well.

    It can be lost: when renewals did not reach the server for its time to live, when the event loop hung, when the
    server forgot it. Then the body of its `async with` is cancelled, and LeaseLost raised in its place; a cancellation
    from outside wins over that. This comes before another can be granted the hold, *provided the event loop runs*:
    while it is blocked, or the process stopped, and in a `finally` that takes its time, only `check()` and the token
    protect. So call `check()` right before what must not be done late, and hand `token` to the store that is written
    to, which refuses a smaller token than it has seen.
    """

    __slots__ = ("__weakref__", "_tenure")

    def __init__(self, tenure: Tenure) -> None:
        """Made by what is leased."""
        self._tenure = tenure

    @property
    def name(self) -> str:
        """What is leased."""
        return self._tenure.source.name

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier grant under this name, for readers too."""
        return self._tenure.hold.token

    @property
    def mode(self) -> str:
        """What it allows: read, write or permit."""
        return self._tenure.mode

    @property
    def seconds_left(self) -> float:
        """For how long it may be relied on if it is not renewed; 0.0 when it is lost or released."""
        return 0.0 if self._tenure.ended else max(0.0, self._tenure.hold.left)

    @property
    def lost(self) -> "asyncio.Future[bool]":
        """Await it to learn of its end: True when it is lost, False when it was given back.

        For a lease that was acquired by hand, which has no body to cancel. Each time it is another future, so that a
        cancelled wait, or one in `asyncio.wait`, harms no other. It comes when the event loop runs: see above.
        """
        return self._tenure.watch()

    def check(self) -> None:
        """Raise LeaseLost unless it is held at this moment, by the local clock; asks nobody."""
        self._tenure.check()

    async def release(self) -> None:
        """Give it back, and wait for the server's answer. Cancelled: the release goes on in the background.

        :raises LeaseLost: when it was lost, or released before; nothing is changed then.
        """
        await self._tenure.release()


class WriteLease(Lease):
    """What a writer holds."""

    __slots__ = ()

    async def downgrade(self) -> None:
        """Go on as a reader, in one step: no other writer comes between; waiting readers come in. The token stays.

        Waits for the server's answer. Does nothing when it was downgraded before. From the call on the lease says that
        it reads. Cancelled: the downgrade goes on in the background.

        :raises LeaseLost: when it is lost.
        :raises WrongLoop: outside the event loop of the session.
        """
        tenure = self._tenure
        tenure.source.check_here()
        tenure.check()
        if tenure.hold.mode == "w":
            enter_by_hand(tenure)
        if not await tenure.source.downgrade(tenure.hold):
            raise tenure.loss()


def tenure_of(lease: Lease) -> Tenure:
    """What a lease is made of, for the rooms of locks."""
    return lease._tenure  # noqa: SLF001  # the only door to it
