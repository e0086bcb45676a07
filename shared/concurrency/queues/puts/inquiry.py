"""Inquiry: asks what became of a call whose answer was lost, where the call itself cannot be repeated."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call
from shared.concurrency.session.server_errors import Disconnected, OutOfMemory, Postponed

_AFTER_A_REFUSAL: Final = 0.05


async def run_or_inquire(
    calls: Calling, call: Call, inquiry: Callable[[], Call], is_outdated: Callable[[], bool]
) -> Any:
    """Run a call, and again after a lost answer, until one is answered; returns that answer.

    `inquiry` makes a call of the same number: when the call has run, its answer is that of the call; else the call
    never runs. It is sent instead when the server's memory is full and the call may have run, or the call is outdated.

    :raises OutOfMemory: when the server's memory is full, and the call has not run.
    :raises ConcurrencyError: when the server refuses it for good.
    """
    may_have_run = is_inquiry = False
    while True:
        if not calls.is_open:
            await calls.opened()
        if not is_inquiry and is_outdated():
            call, is_inquiry = inquiry(), True
        try:
            return await calls.now(call)
        except Disconnected:
            may_have_run = True
        except Postponed:
            await asyncio.sleep(_AFTER_A_REFUSAL)
        except OutOfMemory:
            if is_inquiry or not may_have_run:
                raise
            call, is_inquiry = inquiry(), True
