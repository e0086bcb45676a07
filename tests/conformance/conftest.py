"""Makes the queues and primitives that the cases run over."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance import primitives, subjects


@pytest.fixture(params=subjects.KINDS)
def make(request: pytest.FixtureRequest, url: str, name: str) -> subjects.Make:
    """Makes queues of one kind; each call a queue of its own."""
    count = iter(range(1000))
    return lambda maxsize: subjects.opened(request.param, url, f"{name}-{next(count)}", maxsize)


@pytest.fixture(params=primitives.KINDS)
async def some(request: pytest.FixtureRequest, url: str, name: str) -> AsyncIterator[primitives.Primitives]:
    """The primitives of one kind."""
    async with primitives.opened(request.param, url, name) as made:
        yield made
