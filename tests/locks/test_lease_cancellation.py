"""Cancellation at every point where a call of the leases waits: nothing is held, nobody waits, and others go on."""

import asyncio

import pytest

from shared.concurrency import Session
from tests.instruments.cancellation import Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.lease_calls import CASES, placed

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("case", CASES)
async def test_rule_7_a_cancelled_call_leaves_no_trace(case: str, session: Session, other: Session, name: str) -> None:
    chosen = CASES[case]

    async def attempt(point: int, mode: Mode) -> Outcome[object]:
        async with placed(session, other, f"{name}-{mode}-{point}") as place:
            if chosen.prepare is not None:
                await chosen.prepare(place)
            if chosen.meanwhile is not None:
                place.tasks.append(asyncio.ensure_future(chosen.meanwhile(place)))
            outcome = await cancelled_at(point, mode, chosen.call(place))
            assert outcome.error is None, (point, mode, outcome)
        await place.nothing_left()
        return outcome

    count = 0
    async for _point, _mode, _outcome in at_every_point(attempt):
        count += 1
    assert count >= 3
