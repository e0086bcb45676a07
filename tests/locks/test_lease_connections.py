"""A connection that breaks at any command of any call of the leases: one effect, nothing left, and the call goes on.

Every call runs once untouched, to count its commands; then once for each of them and each way to break it.
"""

import asyncio
from typing import Final

import pytest

from shared.concurrency import Session
from tests.instruments import figures
from tests.instruments.lease_calls import CASES, Case, placed
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate

FATES: Final = (Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN)

pytestmark = pytest.mark.timeout(180)


async def once(case: Case, session: Session, other: Session, name: str) -> None:
    """Run a call to its end."""
    async with placed(session, other, name) as place:
        if case.prepare is not None:
            await case.prepare(place)
        if case.meanwhile is not None:
            place.tasks.append(asyncio.ensure_future(case.meanwhile(place)))
        async with asyncio.timeout(15):
            await case.call(place)
    await place.nothing_left()


@pytest.mark.parametrize("case", CASES)
async def test_a_broken_connection_has_no_second_effect(
    case: str, proxy: Proxy, through_proxy: Session, other: Session, name: str
) -> None:
    proxy.commands.clear()
    await once(CASES[case], through_proxy, other, name)
    commands = len(proxy.of_session())
    assert commands >= 1
    for nth in range(1, commands + 1):
        for fate in FATES:
            met = proxy.drop_nth(nth, fate)
            await once(CASES[case], through_proxy, other, f"{name}-{nth}-{fate.name}")
            # With a connection that broke before, it may need fewer; then it has come through untouched.
            assert met.is_set() or nth > 1
            figures.count("broken connections", met.is_set())
    figures.count("calls of leases")
