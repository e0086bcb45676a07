"""A consumer service that takes from several queues, as an OS process."""

import asyncio
import json
import re
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumer.registry import handles
from consumer.rules.errors import HandlerError
from shared.concurrency import Queue, Session
from shared.message import Message
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments.handlers import order
from tests.instruments.services import consuming, wait_for
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("command_line")]

SHOP = """
from shared.message import Message

running = {}


class Letter(Message):
    text: str


class Bill(Message):
    text: str


@handles(Errand)
async def errand(delivery, pipeline):
    kind = {"letter": Letter, "bill": Bill}.get(delivery.item.text)
    queue = {"letter": pipeline.queues["NAME-mail"], "bill": pipeline.queues["NAME/orders"]}.get(delivery.item.text)
    if kind is not None:
        await queue.put_many([kind(text=str(number)) for number in range(int(delivery.item.file))])
    if delivery.item.text == "stray":
        await pipeline.queue.put(Letter(text="stray"))


@handles(Letter, queue="NAME-mail")
async def letter(delivery, pipeline):
    await handle("mail", delivery, pipeline)


@handles(Bill, queue="NAME/orders")
async def bill(delivery, pipeline):
    await handle("orders", delivery, pipeline)


async def handle(what, delivery, pipeline):
    running[what] = running.get(what, 0) + 1
    try:
        await pipeline.redis.rpush("{NAME}:begun", f"{what} {running[what]}")
        if delivery.item.text != "stray":
            await pipeline.redis.blpop("{NAME}:go-" + what, 60)
    finally:
        running[what] -= 1
"""


@pytest.fixture
async def queues(url: str, name: str) -> AsyncIterator[dict[str, Queue[Message]]]:
    async with Session.open(url) as session:
        yield {
            "main": Queue(session, name, Message),
            "mail": Queue(session, f"{name}-mail", Message),
            "orders": Queue(session, "orders", Message, group=name),
        }


async def begun(client: Redis, name: str, count: int) -> list[str]:
    """What handlers have noted when they began, once that is so much."""

    async def look() -> list[bytes]:
        return await resolved(client.lrange(f"{{{name}}}:begun", 0, -1))

    return sorted(each.decode() for each in await until(look, lambda found: len(found) >= count))


async def test_each_queue_has_its_number_of_deliveries_at_once(
    copy: Path, url: str, name: str, queues: dict[str, Queue[Message]], client: Redis
) -> None:
    served = f"{name}:1, {name}-mail:3, {name}/orders:2"
    with consuming(copy, SHOP.replace("NAME", name), url, name, PIPELINE_QUEUES=served) as service:
        await queues["main"].put(order("letter", "7"))
        await queues["main"].put(order("bill", "5"))
        await queues["main"].join()  # what waits in one queue is in nobody's way in another
        full = ["mail 1", "mail 2", "mail 3", "orders 1", "orders 2"]
        assert await begun(client, name, 5) == full
        # One goes, one comes; never more than there are places.
        await resolved(client.rpush(f"{{{name}}}:go-mail", "go"))
        assert await begun(client, name, 6) == sorted([*full, "mail 3"])
        for what in ("mail", "orders"):
            await resolved(client.rpush(f"{{{name}}}:go-{what}", *["go"] * 7))
            await queues[what].join()
        found = await begun(client, name, 12)
        assert (max(found[:7]), max(found[7:])) == ("mail 3", "orders 2")
        service.terminate()
        _, said = await asyncio.to_thread(service.communicate, 20)
    assert service.returncode == 0, said
    lines = [json.loads(line) for line in said.splitlines()]
    taken = {line["queue"]: line["concurrency"] for line in lines if line["event"] == "consuming"}
    assert taken == {name: 1, f"{name}-mail": 3, f"{name}/orders": 2}
    assert [line["handled"] for line in lines if line["event"] == "drained"] == [14]
    # Neither script has put a key under the name without the group.
    assert await client.exists(f"{{{name}}}/orders:settings") == 1


async def test_a_drain_gives_back_what_was_taken_from_any_queue(
    copy: Path, url: str, name: str, queues: dict[str, Queue[Message]], client: Redis
) -> None:
    with consuming(copy, SHOP.replace("NAME", name), url, name, PIPELINE_GRACE="0.1") as service:
        await queues["main"].put(order("letter", "1"))
        await queues["main"].put(order("bill", "1"))
        await begun(client, name, 2)
        service.terminate()
        _, said = await asyncio.to_thread(service.communicate, 20)
    assert service.returncode == 0, said
    for what in ("mail", "orders"):
        statistics = await queues[what].statistics()
        assert (statistics.leased, statistics.delayed, statistics.nacked_total) == (0, 1, 0)


async def test_a_queue_that_is_not_served_keeps_its_messages(
    copy: Path, url: str, name: str, queues: dict[str, Queue[Message]], client: Redis
) -> None:
    await queues["mail"].put(order("x"))
    handlers = SHOP.replace("NAME", name)
    with consuming(copy, handlers, url, name, PIPELINE_QUEUES=name) as service:
        await queues["main"].put(order("letter", "2"))
        await queues["main"].join()
        # What lies in a served queue is handled there, whatever its class says.
        await queues["main"].put(order("stray"))
        assert await begun(client, name, 1) == ["mail 1"]
        await queues["main"].join()
        assert (await queues["mail"].statistics()).pending == 3
        assert service.poll() is None


async def test_log_lines_name_the_queue_that_a_delivery_came_from(
    copy: Path, url: str, name: str, queues: dict[str, Queue[Message]]
) -> None:
    handlers = SHOP.replace("NAME", name) + "\n\nlog = __import__('shared.logs').logs.Log('shop')\n"
    handlers = handlers.replace("    running[what] = ", "    log.info('begins')\n    running[what] = ")
    with consuming(copy, handlers, url, name) as service:
        await queues["main"].put(order("bill", "1"))
        bill = json.loads((await asyncio.to_thread(wait_for, service, "begins"))[-1])
        await queues["main"].put(order("stray"))
        stray = json.loads((await asyncio.to_thread(wait_for, service, "begins"))[-1])
    assert (bill["queue"], bill["type"]) == (f"{name}/orders", "Bill")
    assert (stray["queue"], stray["type"]) == (name, "Letter")


async def test_metrics_count_for_each_queue(copy: Path, url: str, name: str, queues: dict[str, Queue[Message]]) -> None:
    handlers = SHOP.replace("NAME", name).replace('    await handle("mail"', '    return\n    await handle("mail"')
    with consuming(copy, handlers, url, name, PIPELINE_METRICS_PORT="0") as service:
        lines = await asyncio.to_thread(wait_for, service, "metrics are served")
        port = json.loads(lines[-1])["port"]
        await queues["main"].put(order("letter", "4"))
        await queues["main"].join()
        await queues["mail"].join()

        async def look() -> str:
            reading = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics", None, 10)
            with reading:
                return str(reading.read().decode())

        count = f'weir_handler_duration_seconds_count{{queue="{name}-mail"}} 4.0'
        said = await until(look, lambda said: count in said)
    assert f'weir_deliveries_acked_total{{queue="{name}/orders"}} 0.0' in said
    assert f'weir_handler_duration_seconds_count{{queue="{name}"}} 1.0' in said


async def test_a_queue_that_no_handler_is_of_is_advice_and_2(copy: Path, url: str, name: str) -> None:
    with consuming(copy, SHOP.replace("NAME", name), url, name, PIPELINE_QUEUES=f"{name}:2,mial:3") as service:
        _, said = service.communicate(timeout=20)
    assert service.returncode == 2, said
    (line,) = said.splitlines()
    assert line.startswith("consumer: PIPELINE_QUEUES: no handler is of the queue mial: ")
    assert f"{name}-mail, {name}/orders" in line


@pytest.mark.parametrize("queue", ["", "a b", "a/b/c", "/a", 7])
def test_a_queue_that_has_no_name_is_refused_at_import(queue: str) -> None:
    with pytest.raises(HandlerError, match=re.escape(f"queue={queue!r}")):
        handles(Message, queue=queue)


async def test_a_bound_in_code_is_not_beaten_by_a_setting_that_nobody_made(url: str, name: str, client: Redis) -> None:
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=None)
    async with open_pipeline(settings) as pipeline:
        mine: Queue[Message] = Queue(pipeline.session, name, Message, maxsize=20, max_attempts=7, max_crashes=None)
        await mine.put(order("x"))
        await pipeline.queue.put(order("x"))
    stored = await resolved(client.hmget(f"{{{name}}}:settings", ["maxsize", "max_attempts", "max_crashes"]))
    assert stored == [b"20", b"7", b"0"]


async def test_a_pipeline_has_each_queue_once(url: str, name: str) -> None:
    async with open_pipeline(Settings(redis_url=SecretStr(url), queue=f"{name}/main")) as pipeline:
        assert pipeline.queues[f"{name}/main"] is pipeline.queue
        assert pipeline.queue.full_name == f"{name}/main"
        assert pipeline.queues[name] is pipeline.queues[name]
        with pytest.raises(ValueError, match="GROUP/NAME"):
            pipeline.queues["no name"]
