"""The flow set of scripts does in a queue without flow what the plain set does (rule 17): the tests pass with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.concurrency import Queue, Session
from tests.instruments import inside
from tests.instruments.levels import FORCED

ROOT = Path(__file__).resolve().parent.parent.parent
SUITES = (
    *("tests/queues", "tests/effects", "tests/results", "tests/conformance"),
    # Of the faults, those that reach the scripts of a queue.
    *(
        f"tests/faults/test_{name}.py"
        for name in (
            *("back_with_older_data", "bad_input_in_the_queue", "bad_input_to_calls", "cancel_and_restart"),
            *("cancellation", "cancelled_messages", "connection_defects", "dropped_connections", "forgotten_scripts"),
            *("hostile_entries", "hostile_letters", "hostile_sizes"),
            *("late_replies", "lost_place", "missed_shutdown", "operations", "other_loops", "refusals_of_a_moment"),
            *("refused_for_now", "replicas", "restart", "unreadable_answers"),
        )
    ),
)


@pytest.mark.skipif(FORCED not in os.environ, reason="nothing is forced in this run")
async def test_each_queue_of_a_run_that_forces_it_has_the_flow_set(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    assert inside.member_at(queue).level.load("put").is_flow


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_the_suites_pass_with_the_flow_set() -> None:
    command = ("-m", "pytest", *SUITES, "-q", "-n", "2", "-p", "no:cacheprovider", "-m", "not slow and not timing")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env=os.environ | {FORCED: "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
