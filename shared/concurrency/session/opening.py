"""Opening: until a session's first connection stands, or it is certain that none will."""

import asyncio
from typing import Final

from shared.concurrency.errors import ServerUnavailable
from shared.concurrency.session.address.mismatch import mismatch
from shared.concurrency.session.advice import advice
from shared.concurrency.session.calls import NO_ANSWER
from shared.concurrency.session.links import Links
from shared.concurrency.session.log import Log

log = Log("start")

_REPORT_AFTER: Final = 1.0
_LOOK_AFTER: Final = 0.3
"""Seconds until it is looked whether only one side encrypts."""


class Opening:
    """Waits for the first connection, and says what it waits for."""

    def __init__(self, links: Links) -> None:
        """`links`: those that somebody else opens."""
        self._address = links.address
        self._links = links

    async def within(self, seconds: float) -> None:
        """Wait for the connection.

        :raises ServerUnavailable: when no server answered within so many seconds.
        :raises ServerRefused: when one answered that cannot be used, as soon as that is certain.
        """
        looking = asyncio.create_task(self._look_for_mismatch(), name="weir-mismatch")
        try:
            await self._answered_within(seconds)
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    async def _answered_within(self, seconds: float) -> None:
        where = self._address.shown
        if await self._opened_within(min(_REPORT_AFTER, seconds)):
            return
        if seconds > _REPORT_AFTER:
            log.warning(
                "no server answers yet",
                address=where, problem=self._links.problem, advice=self._advice(), gives_up_after_seconds=seconds,
            )  # fmt: skip
        if not await self._opened_within(seconds - _REPORT_AFTER):
            raise ServerUnavailable(
                f"no server answered at {where} within {seconds:g} s ({self._links.problem}): {self._advice()}"
            )

    async def _opened_within(self, seconds: float) -> bool:
        """Wait for the connection; False when there is none after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._links.opened()
        except TimeoutError:
            return False
        return True

    async def _look_for_mismatch(self) -> None:
        """Have the start fail as soon as it is certain that only one side encrypts."""
        await asyncio.sleep(_LOOK_AFTER)
        while not (reason := await mismatch(self._address, _REPORT_AFTER)):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_REPORT_AFTER)
        self._links.refuse(f"{reason} ({self._address.shown})")

    def _advice(self) -> str:
        problem = self._links.problem
        return advice(self._address.shown, problem, is_silent=problem == NO_ANSWER)
