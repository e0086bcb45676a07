"""Makes the queues that the cases run over."""

import pytest

from tests.conformance.subjects import KINDS, Make, opened


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, url: str, name: str) -> Make:
    """Makes queues of one kind; each call a queue of its own."""
    count = iter(range(1000))
    return lambda maxsize: opened(request.param, url, f"{name}-{next(count)}", maxsize)
