"""A test without asyncio: `./run test examples/blocking/test_numbers.py`. The fixture is all there is to it."""

import secrets
from collections.abc import Iterator

import pytest

from examples.server import server
from shared.concurrency.blocking import BlockingQueue, BlockingSession


@pytest.fixture
def numbers() -> Iterator[BlockingQueue[int]]:
    """A queue of its own for each test."""
    with server() as url, BlockingSession(url) as session:
        yield session.queue(f"numbers-{secrets.token_hex(4)}", int)


def test_what_is_answered_reaches_whoever_asked(numbers: BlockingQueue[int]) -> None:
    """One thread is enough: submit, answer, look."""
    result = numbers.submit(21)
    numbers.get(timeout=5).ack(result=42)
    assert result.result(5) == 42
