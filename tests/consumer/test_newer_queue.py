"""Processes at a queue that a newer Weir begins to use (rule 16): they put and take nothing more, and drain."""

import asyncio
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.message import Message
from tests.instruments import programs
from tests.instruments.handlers import order
from tests.instruments.processes import running
from tests.instruments.services import consuming, wait_for
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

HANDLERS = """
@handles(Errand, attempts=3, backoff=Backoff(first=0))
async def obey(delivery, pipeline):
    os.write(2, f"began {delivery.item.text}\\n".encode())
    while not os.path.exists(delivery.item.file):
        await asyncio.sleep(0.01)
    if delivery.item.text == "fail":
        raise LookupError("as told")
"""


async def newer(client: "redis.asyncio.Redis", name: str) -> None:
    """Have the queue need a level that no process here knows, as a newer one does."""
    setting: Any = client.hset(queue_keys(name)["settings"].decode(), "flow", "2")
    asked: Awaitable[int] = setting
    await asked


async def test_an_old_producer_is_refused_and_ends_by_itself(
    url: str, name: str, client: "redis.asyncio.Redis", queue: Queue[int]
) -> None:
    async with running(programs.produce_when_told, url, name, 5.0) as producer:
        await producer.said("put")
        await newer(client, name)
        producer.tell()
        refusal = await producer.said("refused")
        assert await producer.ended() == 0
    assert "used by a newer Weir: upgrade this process" in refusal
    assert (await queue.statistics()).put_total == 1


async def test_an_old_consumer_takes_nothing_more_settles_what_it_holds_and_ends_with_0(
    copy: Path, url: str, name: str, client: "redis.asyncio.Redis", tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    async with Session.open(url) as session:
        queue = Queue(session, name, Message)
        with consuming(copy, HANDLERS, url, name) as service:
            await queue.put_many([order("succeed", go_on), order("fail", go_on)])
            await asyncio.to_thread(wait_for, service, "began fail")
            await queue.put(order("new", go_on))
            await newer(client, name)
            go_on.touch()
            await until(queue.statistics, lambda seen: (seen.acked_total, seen.nacked_total) == (1, 1))
            said = await asyncio.to_thread(wait_for, service, "used by a newer Weir")
            # Longer than it rests: it has looked again.
            looks = await _looks(client, name)
            await until(lambda: _looks(client, name), lambda now: now != looks)
            seen = await queue.statistics()
            assert (seen.pending, seen.leased, seen.delayed, seen.dead) == (1, 0, 1, 0)
            assert await client.zcard(queue_keys(name)["idle"].decode()) == 0
            assert len(await queue.sessions()) == 2
            service.send_signal(signal.SIGTERM)
            _, rest = await asyncio.to_thread(service.communicate, timeout=90)
        told = [line for line in "".join([*said, rest]).splitlines() if "used by a newer Weir" in line]
        assert (service.returncode, len(told)) == (0, 1), told
        assert "began new" not in rest
        # But for the handler's own, which may come late.
        assert not [line for line in rest.splitlines() if "Traceback" in line and "the handler failed" not in line]
        assert len(await queue.sessions()) == 1


async def _looks(client: "redis.asyncio.Redis", name: str) -> dict[bytes, bytes]:
    """The last calls of those who take."""
    asked: Any = client.hgetall(queue_keys(name)["lanes"].decode())
    found: dict[bytes, bytes] = await asked
    return {field: value.split()[1] for field, value in found.items() if field.endswith(b":take")}
