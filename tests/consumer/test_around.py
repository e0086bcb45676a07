"""What stands around every delivery, and the hook of dead letters, in consumer services that are OS processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Cancellation, Queue, RemoteError, Session
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.lines import blocks
from tests.instruments.services import Service, consuming, wait_for
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("command_line")]

HEAD = """
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from consumer.hooks import DeadNotice, Handling, around_deliveries, on_dead_letter
from consumer.outcomes import Reject
from shared.pipeline import Pipeline

transaction: ContextVar[str] = ContextVar("transaction", default="none")

"""
SEEN = """
@around_deliveries
@asynccontextmanager
async def seen(handling: Handling, pipeline: Pipeline) -> AsyncIterator[None]:
    text = handling.delivery.item.text
    how, token = "returned", transaction.set("begun for " + text)
    try:
        yield
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        transaction.reset(token)
        said = [handling.handler, [each.item.text for each in handling.deliveries], how, handling.result]
        await pipeline.redis.rpush("{%s}:seen" % pipeline.settings.queue, json.dumps(said))
"""
BODY = """
    text = delivery.item.text
    if text == "fail":
        raise LookupError(text)
    if text == "reject":
        raise Reject("unwanted")
    if text == "hang":
        os.write(2, b"hanging\\n")
        {hang}
    return {{"text": text}}
"""
PLACES = {
    "loop": "@handles(Errand, attempts=1)\nasync def f(delivery):" + BODY.format(hang="await asyncio.sleep(1000)"),
    "thread": "@handles(Errand, attempts=1)\ndef f(delivery):"
    + BODY.format(hang="while not delivery.cancelled: time.sleep(0.01)"),
    "process": "@handles(Errand, attempts=1, executor='process')\ndef f(delivery):"
    + BODY.format(hang="time.sleep(1000)"),
}


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[Message]]:
    async with Session.open(url) as session:
        yield Queue(session, name, Message)


@contextmanager
def service(copy: Path, around: str, handlers: str, url: str, name: str) -> Iterator[Service]:
    """A consumer service with these hooks."""
    (copy / "consumer" / "around.py").write_text(HEAD + around)
    with consuming(copy, handlers, url, name) as process:
        yield process


async def seen(client: Redis, name: str, count: int) -> list[Any]:
    """What the wrapper has noted, once that is so much."""
    key = f"{{{name}}}:seen"

    async def look() -> list[bytes]:
        return await resolved(client.lrange(key, 0, -1))

    return [json.loads(each) for each in await until(look, lambda found: len(found) >= count)]


@pytest.mark.parametrize("place", PLACES)
async def test_it_sees_results_failures_and_cancellations(
    copy: Path, url: str, queue: Queue[Message], client: Redis, place: str
) -> None:
    with service(copy, SEEN, PLACES[place], url, queue.name) as process:
        assert await (await queue.submit(order("one"))) == {"text": "one"}
        for text in ("fail", "reject"):
            with pytest.raises(RemoteError):
                await (await queue.submit(order(text)))
        future = await queue.submit(order("hang"), id="h")
        await asyncio.to_thread(wait_for, process, "hanging")
        # A thread is not stopped: the wrapper sees its return.
        assert await queue.cancel("h", timeout=20) is Cancellation.STOPPED
        with pytest.raises(RemoteError, match="cancelled"):
            await future
        found = await seen(client, queue.name, 4)
    f = "consumer.handlers:f"
    failure = "RaisedInProcess" if place == "process" else "LookupError"
    assert found[:3] == [
        [f, ["one"], "returned", {"text": "one"}],
        [f, ["fail"], failure, None],
        [f, ["reject"], "Reject", None],
    ]
    (_, texts, how, _), *more = found[3:]
    assert (texts, more) == (["hang"], [])
    assert how in {"loop": {"CancelledError"}, "process": {"CancelledError"}, "thread": {"StillRunning"}}[place]


BATCH = """
@handles(Errand, batch=Gather(most=3, within=60))
async def f(batch: Batch[Errand]):
    return [each.text for each in batch.items]
"""


async def test_it_stands_around_a_batch_once(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    with service(copy, SEEN, BATCH, url, name):
        futures = [await queue.submit(order(text)) for text in ("a", "b", "c")]
        assert await asyncio.gather(*futures) == ["a", "b", "c"]
        assert await seen(client, name, 1) == [["consumer.handlers:f", ["a", "b", "c"], "returned", ["a", "b", "c"]]]


@pytest.mark.parametrize("head", ["async def f(delivery):", "def f(delivery):"])
async def test_the_handler_sees_the_context_variables_that_it_sets(
    copy: Path, url: str, name: str, queue: Queue[Message], head: str
) -> None:
    handlers = f"@handles(Errand)\n{head}\n    from consumer.around import transaction\n    return transaction.get()\n"
    with service(copy, SEEN, handlers, url, name):
        assert await (await queue.submit(order("a"))) == "begun for a"
        assert await (await queue.submit(order("b"))) == "begun for b"


CHANGES = """
@around_deliveries
@asynccontextmanager
async def changes(handling: Handling, pipeline: Pipeline) -> AsyncIterator[None]:
    text = handling.delivery.item.text
    if text == "never called":
        raise Reject("not now")
    try:
        yield
    except LookupError as error:
        if text == "forgiven":
            return
        raise Reject("translated") from error
    if text == "no commit":
        raise Reject("the commit failed")
"""
FORGIVEN = """
@handles(Errand)
async def f(delivery, pipeline):
    delivery.effects.rpush("{%s}:called" % pipeline.settings.queue, delivery.item.text)
    await pipeline.redis.rpush("{%s}:seen" % pipeline.settings.queue, '"%s"' % delivery.item.text)
    if delivery.item.text in ("fail", "forgiven"):
        raise LookupError(delivery.item.text)
"""


async def test_what_it_raises_or_swallows_takes_the_place_of_what_the_handler_did(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    texts = ("never called", "fail", "forgiven", "no commit", "good")
    await queue.put_many([order(text) for text in texts])
    with service(copy, CHANGES, FORGIVEN, url, name):
        await queue.join()
    reasons = {json.loads(each.body)["text"]: each.reason for each in await queue.dead_letters()}
    assert reasons == {"never called": "not now", "fail": "translated", "no commit": "the commit failed"}
    assert sorted(await seen(client, name, 4)) == sorted(texts[1:])
    # Effects are those of what was acknowledged.
    assert sorted(await resolved(client.lrange(f"{{{name}}}:called", 0, -1))) == [b"forgiven", b"good"]


TOLD = """
@on_dead_letter
async def told(notice: DeadNotice, pipeline: Pipeline) -> None:
    said = [notice.queue, notice.id, notice.type, notice.reason, notice.error]
    await pipeline.redis.rpush("{%s}:seen" % pipeline.settings.queue, json.dumps(said))
    if notice.reason == "unwanted":
        raise RuntimeError("nobody answers")
"""


async def test_the_hook_is_told_of_each_dead_letter_and_may_fail(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    with service(copy, TOLD, PLACES["loop"], url, name) as process:
        await queue.put(order("reject"), id="r")
        await asyncio.to_thread(wait_for, process, "the hook of dead letters failed")
        await queue.put(order("fail"), id="f")
        await queue.put(order("good"))
        await queue.join()
        process.terminate()
        _, said = await asyncio.to_thread(process.communicate, 20)
    assert process.returncode == 0, said
    assert await seen(client, name, 2) == [
        [name, "r", "Errand", "unwanted", ""],
        [name, "f", "Errand", "failed", "LookupError: fail"],
    ]


CRASH = """
@handles(Errand)
async def f(delivery):
    os._exit(7)
"""


async def test_the_hook_is_told_of_what_crashed_by_whoever_recovers_it(
    copy: Path, url: str, name: str, client: Redis
) -> None:
    async with Session.open(url) as session:
        await Queue(session, name, Message, max_crashes=1).put(order("x"), id="c")
    (copy / "consumer" / "around.py").write_text(HEAD + TOLD)
    for handlers in (CRASH, CRASH.replace("os._exit(7)", "pass")):
        with consuming(copy, handlers, url, name, PIPELINE_SESSION_TTL="1", PIPELINE_MAX_CRASHES="1") as process:
            if "_exit" in handlers:
                assert process.wait(20) == 7
            else:
                assert [words[1:4] for words in await seen(client, name, 1)] == [["c", "Errand", "crashed"]]


async def test_the_examples_of_the_page_work(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "handlers.md").read_text(encoding="utf-8")
    # tests/project/test_readme.py runs the tests that stand there.
    code = "\n\n".join(block for block in blocks(page) if "run_inline" not in block and "delivery_of" not in block)
    assert "{jobs}:pages" in code
    with service(copy, code.replace("{jobs}", f"{{{name}}}"), PLACES["loop"], url, name) as process:
        assert await (await queue.submit(order("one"))) == {"text": "one"}
        await queue.put(order("reject"), id="r")
        await queue.join()
        process.terminate()
        _, said = await asyncio.to_thread(process.communicate, 20)
    (line,) = [json.loads(line) for line in said.splitlines() if '"event": "handled"' in line]
    assert (line["handler"], line["result"]) == ("consumer.handlers:f", {"text": "one"})
    assert await resolved(client.lrange(f"{{{name}}}:pages", 0, -1)) == [b"Errand r: unwanted "]


@pytest.mark.parametrize(
    "around,advice",
    [
        (SEEN.replace("@asynccontextmanager\n", ""), "write @asynccontextmanager between it and seen"),
        (SEEN + SEEN.replace("def seen", "def again"), "there is one already, beside again"),
        (SEEN.replace("handling: Handling, ", ""), "seen is called with (handling, pipeline)"),
        (TOLD.replace("async def", "def").replace("await ", ""), "told is called on the event loop: write `async def`"),
        (TOLD.replace(", pipeline: Pipeline", ""), "told is called with (notice, pipeline)"),
        (TOLD + TOLD.replace("def told", "def again"), "there is one already, beside again"),
    ],
)
def test_a_hook_that_cannot_work_is_advice_and_2(copy: Path, url: str, name: str, around: str, advice: str) -> None:
    with service(copy, around, PLACES["loop"], url, name) as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert advice in said
    assert len(said.splitlines()) == 1


BILLS = """
from consumer.registry import handles
from shared.message import Message


class Bill(Message):
    text: str


@handles(Bill)
async def pay(delivery):
    return "paid " + delivery.item.text
"""
ERRANDS = """
from consumer.registry import handles
from shared.messages import Errand
from shop.bills import Bill


@handles(Errand)
async def run(delivery, pipeline):
    return await (await pipeline.queue.submit(Bill(text=delivery.item.text)))
"""
NOT_ASKED_FOR = "raise AssertionError('not asked for')\n"


@pytest.fixture
def shop(copy: Path) -> Path:
    """An application with handlers in two modules of its own."""
    (copy / "shop").mkdir()
    (copy / "shop" / "bills.py").write_text(BILLS)
    (copy / "shop" / "errands.py").write_text(ERRANDS)
    return copy


async def test_handlers_are_in_the_modules_that_are_named(
    shop: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    with consuming(shop, NOT_ASKED_FOR, url, name, PIPELINE_HANDLERS="shop.bills, shop.errands"):
        assert await (await queue.submit(order("it"))) == "paid it"


def test_a_consumer_with_other_modules_may_leave_classes_to_others(shop: Path, url: str, name: str) -> None:
    with consuming(shop, NOT_ASKED_FOR, url, name, PIPELINE_HANDLERS="shop.bills") as process:
        *_, line = wait_for(process, "no handler for some messages")
    assert json.loads(line)["classes"] == ["Errand"]


@pytest.mark.parametrize(
    "modules,advice",
    [
        ("shop.bills", "PIPELINE_HANDLERS: there is no module shop, for shop.bills"),
        ("consumer.nothing", "PIPELINE_HANDLERS: there is no module consumer.nothing, for consumer.nothing"),
        ("consumer.outcomes", "PIPELINE_HANDLERS: no handler in consumer.outcomes"),
        ("shop/bills", "PIPELINE_HANDLERS: must be the names of modules with commas between them"),
        ("", "PIPELINE_HANDLERS: must be the names of modules"),
    ],
)
def test_modules_without_handlers_are_advice_and_2(copy: Path, url: str, name: str, modules: str, advice: str) -> None:
    with consuming(copy, "", url, name, PIPELINE_HANDLERS=modules) as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert said.startswith(f"consumer: {advice}")
    assert len(said.splitlines()) == 1
