"""Every coroutine of every lock is cancelled at each of its awaits; a second party gets what it gave up."""

import pytest
from redis.asyncio import Redis

from shared.concurrency import Session
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.scenes import set_up
from tests.instruments.second_parties import CASES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("case", CASES)
async def test_rule_7_a_second_party_gets_what_a_cancelled_call_gave_up(
    case: str, session: Session, other: Session, client: Redis, name: str
) -> None:
    chosen = CASES[case]

    async def attempt(point: int, mode: Mode) -> Outcome[object]:
        async with set_up(session, other, client, f"{name}-{mode}-{point}") as scene:
            if chosen.before is not None:
                await chosen.before(scene)
            beside = None if chosen.meanwhile is None else scene.start(chosen.meanwhile(scene))
            outcome: Outcome[object] = await cancelled_at(point, mode, chosen.call(scene))
            assert outcome.error is None, (point, mode, outcome)
            scene.over.set()
            if beside is not None:
                await beside
            try:
                await chosen.afterwards(scene)
                await scene.nothing_left()
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"cancelled {mode} at point {point}: {error}") from error
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt, (*MODES, "always"))} == {*MODES, "always"}
