"""The same seed is the same run in a storm, too: whatever strikes is drawn from it."""

import pytest

from tests.simulation.test_simulation import simulate
from tests.simulation.workloads import WORKLOADS


def lines(*arguments: str) -> list[str]:
    """What the runs of a process say, each with the digest of its commands."""
    done = simulate(*arguments, "--storm", "--trials", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_two_workloads_in_a_storm_run_alike_in_either_order() -> None:
    queues, stages = ("--workload", "queues"), ("--workload", "stages")
    few = ("--seed", "6007", "--messages", "4", "--actors", "1")
    first = lines(*few, *queues, *stages)
    for line, fault in zip(first, ("no-data", "fail-over"), strict=True):
        assert f" {fault} " in line
        assert " trace " in line
    assert lines(*few, *stages, *queues) == first[::-1]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_same_seed_is_the_same_storm(workload: str) -> None:
    before, first = lines("--workload", workload, "--seed", "6001", "--count", "2")
    assert lines("--workload", workload, "--seed", "6002") == [first]
    assert before.partition(" trace ")[2] != first.partition(" trace ")[2]
