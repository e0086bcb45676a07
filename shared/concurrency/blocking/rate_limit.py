"""The blocking face of RateLimit."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from shared.concurrency import LeaseBusy, RateLimit
from shared.concurrency.blocking.background import Background


class BlockingRateLimit:
    """At most so many in a time, in all processes together: `with limit:`. As RateLimit; safe in threads."""

    def __init__(self, background: Background, limit: RateLimit) -> None:
        """Made by the blocking session."""
        self._background: Final = background
        self._limit: Final = limit

    def acquire(self, *, timeout: float | None = None) -> None:
        """Wait for its turn.

        :raises TimeoutError: when it did not come within so many seconds; it leaves no trace.
        :raises ConcurrencyError: as `RateLimit.acquire`.
        """
        self._background.call(self._limit.acquire, timeout)

    def acquire_nowait(self) -> None:
        """Go at once.

        :raises LeaseBusy: when `acquire` would wait.
        """
        self._background.call(self._limit.acquire_nowait)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """The same `with`, whose wait ends after so many seconds; 0: at once.

        :raises LeaseBusy: when its turn did not come within that time.
        """
        try:
            if seconds > 0:
                self.acquire(timeout=seconds)
            else:
                self.acquire_nowait()
        except TimeoutError as error:
            raise LeaseBusy(f"no turn within {seconds:g} s") from error
        yield

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
