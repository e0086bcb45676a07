"""The kit for users' tests: what is recorded, and that chains run as in the service, which one test compares."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.batches import Batch, Gather
from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.handler import Handler
from consumer.rules.rules import Rules
from consumer.testing import Died, FakePipeline, InlineRun, delivery_of, effects_of, run_inline
from shared.concurrency import Delivery, IdConflict, Queue, RemoteError, Session
from shared.message import Message
from shared.pipeline import Pipeline
from tests.instruments.command_line import environment
from tests.instruments.handlers import order
from tests.instruments.messages import Errand
from tests.instruments.services import consuming
from tests.instruments.waiting import resolved

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("command_line")]

CHAIN = """
from typing import Any

from shared.message import Message


class Step(Message[int], key="of"):
    of: str
    number: int


class Row(Message):
    text: str


log = []


@handles(Errand, attempts=3, backoff=Backoff(first=0))
async def errand(delivery, pipeline):
    text = delivery.item.text
    if text == "fail":
        raise LookupError(f"{delivery.attempt} {delivery.failures} {delivery.first_error}")
    if text == "once" and delivery.attempt == 1:
        raise Retry(after=0.01) from KeyError("busy")
    if text == "wait" and delivery.attempt < 3:
        raise Retry(after=0.01, counts=False)
    if text == "reject":
        raise Reject("unwanted") from ValueError("why")
    if text == "ask":
        step = await pipeline.queue.submit(Step(of="ask", number=7))
        delivery.effects.rpush("{NAME}:asked", await step)
        bad = await pipeline.queue.submit(Step(of="bad", number=-1))
        try:
            await bad
        except Exception as error:
            delivery.effects.rpush("{NAME}:errors", f"{type(error).__name__}: {error}")
    if text == "steps":
        for number in range(3):
            delivery.effects.put(pipeline.queue, Step(of="k", number=number))
    if text == "rows":
        await pipeline.queues["NAME-rows"].put_many([Row(text=str(number)) for number in range(4)])
    delivery.effects.rpush("{NAME}:done", text)


@handles(Step, attempts=2, backoff=Backoff(first=0.01))
async def step(delivery, pipeline):
    number = delivery.item.number
    if number == -1:
        return "no number"
    if number == 1 and delivery.attempt == 1:
        raise LookupError("the second comes late")
    delivery.effects.rpush("{NAME}:steps", number)
    return number * 2


@handles(Row, queue="NAME-rows", batch=Gather(most=4, within=0.05), attempts=2, backoff=Backoff(first=0))
def rows(batch, pipeline):
    for delivery in batch:
        if delivery.item.text == "2":
            batch.fail(delivery, ValueError("a bad row"))
        delivery.effects.rpush("{NAME}:rows", delivery.item.text)
"""
TEXTS = ["good", "fail", "once", "wait", "reject", "ask", "steps", "rows"]
INLINE = """
import asyncio, json, sys
import consumer.handlers
from consumer.registry import handlers
from consumer.testing import run_inline
from shared.messages import Errand

run = asyncio.run(run_inline(handlers(), [Errand(text=text) for text in sys.argv[1:]]))
lists = {}
for command, key, *values in run.effects:
    lists.setdefault(key, []).extend(map(str, values))
dead = [[json.loads(each.message.model_dump_json()), each.reason, each.error, each.failures] for each in run.dead]
print(json.dumps({"lists": lists, "dead": dead, "handled": len(run.handled)}))
"""


async def in_earnest(copy: Path, url: str, name: str, client: Redis) -> dict[str, Any]:
    """What the real service makes of the chain."""
    async with Session.open(url) as session:
        queue, rows = Queue(session, name, Message), Queue(session, f"{name}-rows", Message)
        await queue.put_many([order(text) for text in TEXTS])
        # More than one at a time: a handler awaits what it has submitted.
        with consuming(copy, CHAIN.replace("NAME", name), url, name, PIPELINE_CONCURRENCY="3"):
            async with asyncio.timeout(30):
                await queue.join()
                await rows.join()
        letters = [*await queue.dead_letters(), *await rows.dead_letters()]
        acked = [(await each.statistics()).acked_total for each in (queue, rows)]
    lists = {
        f"{{{name}}}:{word}": [each.decode() for each in await resolved(client.lrange(f"{{{name}}}:{word}", 0, -1))]
        for word in ("done", "steps", "rows", "asked", "errors")
    }
    dead = [[json.loads(each.body), each.reason, each.error, each.failures] for each in letters]
    return {"lists": lists, "dead": dead, "handled": sum(acked)}


async def test_a_chain_comes_to_what_the_service_makes_of_it(copy: Path, url: str, name: str, client: Redis) -> None:
    real = await in_earnest(copy, url, name, client)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "error", "-c", INLINE, *TEXTS],
        env=environment(PYTHONPATH=str(copy), PIPELINE_QUEUE=name), cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    inline = json.loads(done.stdout)
    # With several at once only what has a key has an order.
    for each in (real, inline):
        each["dead"].sort(key=str)
        for word, found in each["lists"].items():
            each["lists"][word] = found if word.endswith(":steps") and sorted(found) == found else sorted(found)
    assert inline == real
    assert len(real["dead"]) == 4


async def run(function: Any, *texts: str, rules: Rules | None = None, place: Any = "loop", **more: Any) -> InlineRun:
    handlers: dict[type[Message], Handler] = {
        Errand: Handler(function, place, rules or Rules(backoff=Backoff(jitter=0)), place != "process")
    }
    return await run_inline(handlers, [order(text) for text in texts], **more)


async def test_delays_take_no_time_and_are_added_up() -> None:
    async def fail(delivery: Delivery[Errand], _: Pipeline) -> None:
        raise LookupError(f"attempt {delivery.attempt}")

    ran = await run(fail, "a")
    assert ran.dead == [Died(order("a"), "failed", "LookupError: attempt 5", 5)]
    assert ran.seconds == 1 + 8 + 64 + 300


async def test_a_precondition_that_never_comes_is_a_dead_letter_in_the_end() -> None:
    async def wait(_: Delivery[Errand], __: Pipeline) -> None:
        raise Retry(after=600, counts=False, within=3600)

    ran = await run(wait, "a", rules=Rules(attempts=2))
    assert [(each.reason, each.failures) for each in ran.dead] == [("failed", 2)]
    assert 3600 <= ran.seconds <= 3600 + 2 * 600


async def test_a_handler_of_a_process_puts_by_name_and_others_may_not() -> None:
    def onward(delivery: Delivery[Errand]) -> None:
        if delivery.item.text == "a":
            delivery.effects.put("mail", order("b"), key="k")
            delivery.effects.put_unique("mail", order("c"), "n", replace=True, calm=2.0, key="k")

    ran = await run(onward, "a", place="process")
    assert [each.message for each in ran.handled] == [order("a"), order("b"), order("c")]
    assert [(put.item, put.once) for put in ran.pipeline.queues["mail"].puts] == [(order("b"), None), (order("c"), "n")]

    async def here(delivery: Delivery[Errand], _: Pipeline) -> None:
        onward(delivery)

    (died,) = (await run(here, "a", rules=Rules(attempts=1))).dead
    assert died.error.startswith("TypeError: effects.put() takes a queue here")


async def test_it_may_settle_by_hand_and_take_too_long() -> None:
    async def handle(delivery: Delivery[Errand], _: Pipeline) -> None:
        if delivery.item.text == "hang":
            await asyncio.Event().wait()
        await (delivery.ack() if delivery.attempt == 2 else delivery.nack(delay=5))

    ran = await run(handle, "by hand", "hang", rules=Rules(attempts=2, time_limit=0.05, backoff=Backoff(first=0)))
    assert [(each.message.text, each.attempt) for each in ran.handled if isinstance(each.message, Errand)] == [
        ("by hand", 2)
    ]
    assert [(each.reason, each.error) for each in ran.dead] == [
        ("failed", "TimeoutError: the handler took longer than 0.05 s")
    ]


async def test_a_bad_message_of_a_batch_takes_no_other_along() -> None:
    async def many(batch: Batch[Errand], _: Pipeline) -> None:
        if any(item.text == "bad" for item in batch.items):
            raise ValueError(len(batch))

    rules = Rules(attempts=2, batch=Gather(most=3, within=1), backoff=Backoff(first=0))
    ran = await run(many, "a", "bad", "b", rules=rules)
    assert sorted(each.message.text for each in ran.handled if isinstance(each.message, Errand)) == ["a", "b"]
    assert ran.dead == [Died(order("bad"), "failed", "ValueError: 1", 2)]


async def test_what_has_no_handler_is_left_and_what_was_scheduled_comes_later() -> None:
    async def handle(delivery: Delivery[Errand], pipeline: Pipeline) -> None:
        if delivery.item.text == "a":
            await pipeline.schedule(order("later"), after=60)
            await pipeline.queue.put(order("now"))

    ran = await run(handle, "a")
    assert [each.message for each in ran.handled] == [order("a"), order("now"), order("later")]
    assert ran.seconds == 60
    assert (await run_inline({}, [order("a")])).left == [order("a")]


async def test_a_fake_pipeline_records_what_a_handler_asks_of_it() -> None:
    pool: Any = "a pool"
    pipeline = FakePipeline.of(resources=pool)
    assert pipeline.resources is pool
    assert await pipeline.queue.put(order("a"), id="i")
    assert not await pipeline.queue.put(order("a"), id="i")
    with pytest.raises(IdConflict):
        await pipeline.queue.put(order("b"), id="i")
    future = await pipeline.queues["shop/orders"].submit(order("c"), key="k")
    future.set_result(5)
    assert await future == 5
    assert [(put.queue, put.item, put.id, put.key) for put in pipeline.received] == [
        (pipeline.settings.queue, order("a"), "i", None),
        ("shop/orders", order("c"), None, "k"),
    ]
    delivery = delivery_of(order("x"))
    delivery.effects.put(pipeline.queues["mail"], order("y"))
    assert effects_of(delivery) == [("put", "mail", order("y"))]
    with pytest.raises(AttributeError, match=r"FakePipeline\(redis=...\)"):
        _ = pipeline.redis.get
    with pytest.raises(AttributeError, match="a fake queue has no"):
        await pipeline.queue.statistics()


async def test_a_fake_queue_records_what_is_put_under_a_name() -> None:
    queue = FakePipeline.of().queue
    assert await queue.put_unique(order("a"), "n", calm=2.0, longest=30.0)
    assert not await queue.put_unique(order("b"), "n", replace=True, key="k")
    assert [(put.item, put.once, put.key) for put in queue.puts] == [(order("a"), "n", None), (order("b"), "n", "k")]
    with pytest.raises(ValueError, match="every"):
        await queue.put_unique(order("c"), "m", every=1.0, replace=True)
    with pytest.raises(TypeError, match="a name"):
        await queue.put_unique(order("c"), 7)


async def test_a_submitter_hears_of_a_dead_letter() -> None:
    async def handle(delivery: Delivery[Errand], pipeline: Pipeline) -> str:
        if delivery.item.text == "b":
            raise Reject("unwanted")
        with pytest.raises(RemoteError, match="unwanted"):
            await (await pipeline.queue.submit(order("b")))
        return "heard"

    ran = await run(handle, "a")
    assert [(each.message, each.result) for each in ran.handled] == [(order("a"), "heard")]
