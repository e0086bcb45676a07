"""A server of each test's own: its log of slow commands has no calls of others."""

import pytest

from shared.local.embedded import EmbeddedServer


@pytest.fixture
def url(server: EmbeddedServer) -> str:
    return server.url
