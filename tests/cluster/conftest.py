"""Clusters for these tests: one that all of a process share, and one of a test's own with replicas."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instruments.nodes import Nodes


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three masters, for tests that leave all nodes running."""
    with Nodes(tmp_path_factory.mktemp("nodes")) as nodes:
        yield nodes


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Nodes]:
    """Three masters with a replica each, to kill and stop."""
    with Nodes(tmp_path / "nodes", replicas=1, node_timeout_ms=1000) as nodes:
        yield nodes
