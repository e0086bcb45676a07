"""The services, the command line and the monitor, on a Cluster."""

import asyncio
import json
import secrets

import pytest
from pydantic import SecretStr
from redis.crc import key_slot

from monitor.link import open_link
from monitor.watch import open_watch
from shared.concurrency import IdConflict, Lock, Queue, Session
from shared.message import Message
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments.command_line import command
from tests.instruments.messages import Errand
from tests.instruments.nodes import Nodes
from tests.instruments.services import running, wait_for
from tests.instruments.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("command_line"),
    # arq tells redis-py 8 what it does anyhow.
    pytest.mark.filterwarnings("ignore:.*retry_on_timeout:DeprecationWarning"),
]

NAMES = 9


@pytest.fixture
def name() -> str:
    return f"s-{secrets.token_hex(4)}"


def settings(nodes: Nodes, name: str) -> Settings:
    return Settings(redis_url=SecretStr(nodes.url), queue=name, maxsize=None)


def errand(part: int) -> Errand:
    return Errand(file="f", part=part, text="é")


async def test_data_of_ones_own_lies_at_any_node(nodes: Nodes, name: str) -> None:
    async with open_pipeline(settings(nodes, name)) as pipeline:
        for number in range(NAMES):
            await pipeline.redis.set(f"{name}:{number}", number)
        assert [int(await pipeline.redis.get(f"{name}:{number}") or -1) for number in range(NAMES)] == list(
            range(NAMES)
        )
        counted = await asyncio.gather(*(pipeline.redis.incr(f"{name}:count") for _ in range(100)))
        assert sorted(counted) == list(range(1, 101))


async def test_a_deferred_message_is_put_by_a_clock_also_after_its_slot_has_moved(nodes: Nodes, name: str) -> None:
    slot = key_slot(name.encode())
    home = nodes.owner(slot)
    async with open_pipeline(settings(nodes, name)) as pipeline:
        await pipeline.schedule(errand(0), after=3600, id="never")
        assert await pipeline.unschedule("never")
        await pipeline.schedule(errand(1), after=0.2, id="one")
        with pytest.raises(IdConflict):
            await pipeline.schedule(errand(2), after=0.2, id="one")
        with running("producer.clock", REDIS_URL=nodes.url, PIPELINE_QUEUE=name) as clock:
            async with asyncio.timeout(60):
                await expect(pipeline.queue, 1)
                await asyncio.to_thread(wait_for, clock, "ticked")
                await asyncio.to_thread(nodes.move, slot, (home + 1) % 3)
                await pipeline.schedule(errand(2), after=0.2, id="two")
                await expect(pipeline.queue, 2)
                await asyncio.to_thread(wait_for, clock, "ticked")
    assert [key for number in range(3) for key in nodes.ask(number, "KEYS", "arq:*")] == []
    await asyncio.to_thread(nodes.move, slot, home)


async def expect(queue: Queue[Message], part: int) -> None:
    """Take the errand of this number; what the clock's cron jobs put is acknowledged."""
    while True:
        async with await queue.get() as message:
            if isinstance(message, Errand):
                assert message.part == part
                return


async def test_the_monitor_sees_the_queues_and_leases_of_all_nodes(nodes: Nodes, name: str) -> None:
    names = sorted(f"{name}-{number}" for number in range(NAMES))
    async with (
        Session.open(nodes.url) as session,
        open_link(nodes.url) as link,
        open_watch(link) as watch,
        Lock(session, names[0]),
    ):
        for number, each in enumerate(names):
            await Queue(session, each, int).put_many(range(number + 1))
        await watch.look_again()
        seen = await watch.snapshot()
        found = {each.name: each.counts.pending for each in seen.queues if each.name.startswith(name)}
        assert found == {each: number + 1 for number, each in enumerate(names)}
        assert [each.name for each in seen.leases if each.name.startswith(name)] == [names[0]]
        slot = key_slot(names[0].encode())
        home = nodes.owner(slot)
        await asyncio.to_thread(nodes.move, slot, (home + 1) % 3)

        async def pending() -> int:
            queue = (await watch.snapshot()).queue(names[0])
            return -1 if queue is None else queue.counts.pending

        await until(pending, lambda count: count == 1)
        await asyncio.to_thread(nodes.move, slot, home)


def test_the_command_line_lists_and_changes_the_queues_of_all_nodes(nodes: Nodes, name: str) -> None:
    names = sorted(f"{name}-{number}" for number in range(NAMES))

    async def make() -> None:
        async with Session.open(nodes.url) as session:
            for each in names:
                await Queue(session, each, int).put(1)

    asyncio.run(make())
    variables = {"REDIS_URL": nodes.url, "PIPELINE_QUEUE": names[0]}
    listed = command(("queue", "list", "--json"), variables)
    assert listed.returncode == 0, listed.stderr
    assert {each for each in names if each in listed.stdout} == set(names)
    for each in names:
        paused = command(("queue", "pause", "--queue", each), variables)
        assert paused.returncode == 0, paused.stderr
    status = command(("status", "--json"), variables)
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout.splitlines()[0])
