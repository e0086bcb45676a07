"""Fewer messages and processes: each workload of queues asks the plan for both, so that a failing seed shrinks."""

import json
import re
from collections import Counter
from functools import cache

import pytest

from tests.simulation.test_simulation import python
from tests.simulation.workloads import WORKLOADS

pytestmark = pytest.mark.slow  # a process runs them all

OF_LEASES = ("leases", "downgrades", "permits", "rates", "conditions", "events", "barriers")
OF_QUEUES = tuple(workload for workload in WORKLOADS if workload not in OF_LEASES)
# Three are put; what is deferred counts apart, and an acknowledgement of `once` puts up to three more.
MOST_PUT = {"everything": 6, "once": 12}
# What each run did: the processes that it began with, and how much came into its first queue.
_TOLD = """
import json
from tests.simulation.world import World
from tests.simulation import run
began = []
start, until_done = World.start, run._until_done
def noting_start(self, name, main):
    if not self.now:
        began.append(name)
    return start(self, name, main)
def telling(world, workload, faults):
    until_done(world, workload, faults)
    put = sum(int(world.control.call("HGET", key, "put") or 0) for key in (b"{q}:totals", b"{a}:totals"))
    print("told", json.dumps([workload.name, put, began]))
    began.clear()
World.start, run._until_done = noting_start, telling
"""


@cache
def told(plan: str) -> dict[str, tuple[int, list[str]]]:
    """Of each workload: how much was put, and by which processes it was begun."""
    code = (
        "from tests.simulation.__main__ import Plan, run_seeds; "
        f"run_seeds({list(OF_QUEUES)!r}, [3], lambda: exec({_TOLD!r}, {{}}), Plan({plan}))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("told ")]
    return {name: (put, began) for name, put, began in lines}


@pytest.mark.parametrize("workload", OF_QUEUES)
def test_three_messages_and_one_process_of_a_sort_are_all_there_are(workload: str) -> None:
    put, began = told("messages=3, actors=1")[workload]
    sorts = Counter(re.sub(r"\d+$", "", name) for name in began)
    assert 0 < put <= MOST_PUT.get(workload, 3)
    assert set(sorts.values()) == {1}, began
