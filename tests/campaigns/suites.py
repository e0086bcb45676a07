"""Suites: campaigns that are tests of the suite, run for longer."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.campaigns.length import Length

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Suite:
    """Tests that look at a variable for how long they go on, or try all there is."""

    says: str
    variable: str = ""
    """Where they look; none for those that try all there is."""
    files: tuple[str, ...] = ()
    by: Literal["seconds", "messages"] = "messages"
    usual: int = 1
    """How many of these, where nobody says so."""
    more: tuple[tuple[str, str], ...] = ()
    """Other variables that they look at."""
    is_seeded: bool = True
    """Whether a seed decides anything: not where all is tried, or the machine alone decides who is struck when."""


SUITES: Final = {
    "leases": Suite(
        "writers are killed and stopped while they write to a store that refuses old tokens",
        "WEIR_CAMPAIGN_SECONDS", ("tests/locks/test_lease_campaign.py",), "seconds", is_seeded=False,
    ),
    "stages": Suite(
        "three queues in a row, a process killed every second; --messages are orders",
        "WEIR_CAMPAIGN_ORDERS", ("tests/effects/test_stages_campaign.py",), usual=200_000, is_seeded=False,
    ),
    "order": Suite(
        "messages of 1,000 keys, five processes, one killed every second",
        "WEIR_CAMPAIGN_ORDER", ("tests/order/test_order_campaign.py",), usual=100_000,
    ),
    "limits": Suite(
        "messages of one limit, three processes, one killed for every 500; never more in hands than the limit",
        "WEIR_CAMPAIGN_LIMITS", ("tests/limits/test_limits_under_kills.py",), usual=20_000, is_seeded=False,
    ),
    "results": Suite(
        "three processes submit to three that answer, one killed for every 2,500",
        "WEIR_CAMPAIGN_SUBMISSIONS", ("tests/results/test_results_campaign.py",), usual=100_000,
    ),
    "failover": Suite(
        "three servers and three sentinels: one failover after the other under load",
        "WEIR_CAMPAIGN_FAILOVER", ("tests/faults/test_failover.py", "-k", "campaign"), "seconds",
    ),
    "failover-async": Suite(
        "the same without `replicas`: what is lost is counted",
        "WEIR_CAMPAIGN_FAILOVER", ("tests/faults/test_failover.py", "-k", "campaign"), "seconds",
        more=(("WEIR_CAMPAIGN_REPLICAS", "0"),),
    ),
    "failover-safe": Suite(
        "the same with `replicas=1` and `min-replicas-to-write 1`",
        "WEIR_CAMPAIGN_FAILOVER", ("tests/faults/test_failover.py", "-k", "campaign"), "seconds",
        more=(("WEIR_CAMPAIGN_LEAST_REPLICAS", "1"),),
    ),
    "breaks": Suite(
        "F7: the connection of each call breaks before, after and within the answer of each of its commands",
        files=("tests/faults/test_dropped_connections.py", "tests/locks/test_lease_connections.py"), is_seeded=False,
    ),
    "cancellations": Suite(
        "F8: each call is cancelled at each of its awaits",
        files=("tests/faults/test_cancellation.py", "tests/locks/test_cancelled_at_every_await.py"), is_seeded=False,
    ),
    "levels": Suite(
        "F17: two versions work at one queue until it needs the newer",
        files=("tests/consumer/test_levels_together.py", "tests/queues/test_level.py"), is_seeded=False,
    ),
    "clock": Suite(
        "a clock is killed and cut off before each of its commands",
        "WEIR_CAMPAIGN_CLOCK", ("tests/producer/test_cron.py", "tests/producer/test_deferred_messages.py"), is_seeded=False,
    ),
    "model": Suite(
        "random sequences of a queue's calls, each compared with a model; --messages are sequences",
        "WEIR_CAMPAIGN_MODEL", ("tests/queues/test_model.py",), usual=250,
    ),
}  # fmt: skip


def run_suite(suite: Suite, length: Length, seed: int) -> bool:
    """Run it; whether it passed."""
    how_long = int(length.seconds) if suite.by == "seconds" else length.messages or suite.usual
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-m", "", *suite.files]
    environment = os.environ | dict(suite.more) | ({suite.variable: str(how_long)} if suite.variable else {})
    environment |= {"WEIR_CAMPAIGN_SEED": str(seed)} if suite.is_seeded else {}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
