"""What several tests of the page need."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.instruments.browser import browsing


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of the test's own."""
    async with browsing() as browser:
        yield browser
