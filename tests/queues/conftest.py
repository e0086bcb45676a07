"""The far side of a queue."""

import pytest

from shared.concurrency import Queue, Session


@pytest.fixture
async def there(other: Session, name: str) -> Queue[int]:
    """Where the holder stands."""
    return Queue(other, name, int)
