"""The queue that a worker is looked at with."""

import pytest

from shared.concurrency import Queue, Session


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[int]:
    """A queue of numbers whose messages have two attempts."""
    return Queue(session, name, int, max_attempts=2)
