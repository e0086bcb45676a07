"""What several tests of order need."""

import pytest

from shared.concurrency import Session


@pytest.fixture
def both(session: Session, other: Session) -> list[Session]:
    """Two sessions, as of two processes."""
    return [session, other]
