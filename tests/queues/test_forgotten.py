"""A server that has forgotten a queue: whoever knew the queue says so, once, and counts it."""

import logging

import pytest

from shared.concurrency import Queue, Session
from shared.concurrency.session.log import LogLine
from shared.concurrency.session.session import process_of
from shared.local.embedded import EmbeddedServer
from tests.instruments.waiting import until


def forgotten(session: Session, name: str) -> int:
    return process_of(session).calls.tally.counts.get(("queues_forgotten", name), 0)


async def test_a_server_that_came_back_empty_is_an_error_in_the_log_and_counted(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with Session.open(server.url, ttl=1.0) as putting, Session.open(server.url, ttl=1.0) as idle:
        known, unused = Queue(putting, "known", int), Queue(putting, "unused", int)
        await known.put_many(range(10))
        await Queue(idle, "known", int).qsize()
        server.restart()

        async def counted() -> list[int]:
            return [forgotten(session, "known") for session in (putting, idle)]

        await until(counted, lambda counts: counts == [1, 1])
        assert await known.qsize() == await unused.qsize() == 0
        assert forgotten(putting, "unused") == 0
    errors = [record.msg for record in caplog.records if isinstance(record.msg, LogLine)]
    assert [(line.text, line.fields) for line in errors] == [
        ("the server has forgotten this queue: what was in it is gone", {"queue": "known"})
    ] * 2
