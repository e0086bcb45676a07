"""Three queues in a row while processes are killed: what messages bring about happens exactly once.

`./run campaign-stages ORDERS` has more of them go through, with a kill every second.
"""

import os
from typing import Final

import pytest

from examples.stages.many_processes import run
from examples.stages.shop import expected

ORDERS: Final = int(os.environ.get("WEIR_CAMPAIGN_ORDERS", "0"))

pytestmark = pytest.mark.timeout(60 + ORDERS / 100)


async def test_nothing_is_lost_or_doubled_between_three_queues_while_processes_are_killed(url: str) -> None:
    count, kill_every, least = (ORDERS, 1.0, ORDERS // 10_000) if ORDERS else (3000, 0.3, 2)
    counts, kills, dead = await run(url, count, kill_every)
    assert counts == expected(count)
    assert dead == 0
    assert kills >= least
