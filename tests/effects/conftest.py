"""What travels between queues: on a Cluster those of one test share a slot, as a group of an application does."""

import pytest


@pytest.fixture(autouse=True)
def _share_a_slot(one_slot: None) -> None:
    """For each test here."""
