"""The far side of a submission."""

from collections.abc import AsyncIterator

import pytest

from shared.concurrency import (
    Queue,
    Session,
)


@pytest.fixture
async def far(url: str) -> AsyncIterator[Session]:
    """The session of a consumer."""
    async with Session.open(url) as far:
        yield far


@pytest.fixture
async def there(far: Session, name: str) -> Queue[int]:
    """Where the consumer stands."""
    return Queue(far, name, int)
