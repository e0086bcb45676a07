"""What a snapshot costs the server: no more for a million messages than for one."""

import statistics
import time
from typing import Final

import pytest
from redis.asyncio import Redis

from monitor.link import open_link
from monitor.watch import Watch, open_watch
from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.server_time import timed
from tests.instruments.waiting import resolved

QUEUES: Final = 100
SESSIONS: Final = 200
PENDING: Final = 1_000_000
DEAD: Final = 100_000
GROUPS: Final = 10
"""Of dead letters, of each queue."""

# Makes ARGV[1] dead letters; the number of the first one, and how many groups there are.
_DEAD: Final = """
local groups = {}
for i = 1, tonumber(ARGV[1]) do
  local key = string.format('%022d', ARGV[2] + i)
  local letter = '{"reason":"failed","error":"","died_ms":1}\\n' .. string.rep('0', 16) .. key .. '0000000000.000{}'
  redis.call('HSET', KEYS[1], key, letter)
  redis.call('ZADD', KEYS[2], i, key)
end
for i = 1, tonumber(ARGV[3]) do
  redis.call('HSET', KEYS[3], cjson.encode({'reason ' .. i, 'Job'}), ARGV[1] / ARGV[3])
end
"""
_PENDING: Final = """
local found = {}
for i = 1, tonumber(ARGV[1]) do
  found[i] = ARGV[3] .. string.format('%022d', ARGV[2] + i) .. '0000000000.000{}'
end
redis.call('RPUSH', KEYS[1], unpack(found))
"""
_LOAD: Final = (
    '{"concurrency":10,"waiting":{"counts":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19],"seconds":1.5},'
    '"handling":{"counts":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19],"seconds":1.5}}'
)


async def make_queues(url: str, client: Redis) -> None:
    """Queues with two sessions each, that hold something and have measured something."""
    async with Session.open(url) as session:  # it ends here: its renewals are not to be measured
        for number in range(QUEUES):
            await Queue(session, f"queue-{number}", int, maxsize=100).statistics()
    now, _ = await client.time()
    for number in range(QUEUES):
        name = f"queue-{number}"
        async with client.pipeline(transaction=False) as pipeline:
            for place in range(SESSIONS // QUEUES):
                who = f"{number:08}{place:04}.1.600000"
                pipeline.zadd(f"{{{name}}}:sessions", {who: (now + 600) * 1000})
                records = {f"{who}:process": f"{now}000 7 host", f"{who}:load": f"{now}000 {_LOAD}"}
                pipeline.hset(f"{{{name}}}:lanes", mapping={**records, f"{who[:12]}:consumer": f"{now}000 {who}"})
                pipeline.hset(f"{{{name}}}:leased:{who}", mapping={str(i): "entry" for i in range(10)})
            await pipeline.execute()


async def fill(client: Redis) -> None:
    """A million messages, and a hundred thousand dead letters."""
    now, _ = await client.time()
    stamp = f"{(now - 60) * 1_000_000:016}"
    for number in range(QUEUES):
        name = f"queue-{number}"
        keys = [f"{{{name}}}:{suffix}" for suffix in ("dead", "dead:index", "dead:groups")]
        await resolved(client.eval(_DEAD, 3, *keys, str(DEAD // QUEUES), str(number * DEAD), str(GROUPS)))
        for first in range(0, PENDING // QUEUES, 5000):
            words = ("5000", str(number * PENDING + first), stamp)
            await resolved(client.eval(_PENDING, 1, f"{{{name}}}:pending", *words))
    # These scripts have left more than a hundred megabytes to collect, a little with each script that comes.
    await client.script_flush()


class Cost:
    """Of some snapshots."""

    def __init__(self) -> None:
        self.server: list[float] = []
        """Milliseconds that the server's main thread worked for each, without what others take of its core."""
        self.all: list[float] = []
        """Milliseconds from the question to the answer."""

    def __str__(self) -> str:
        server, in_all = statistics.median(self.server), statistics.median(self.all)
        return f"{server:.2f} ms of the server, at best {min(self.server):.2f}; {in_all:.0f} ms in all"


async def busy(client: Redis) -> float:
    info = await client.info("cpu")
    return 1000 * float(info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])


async def measure(client: Redis, watch: Watch) -> Cost:
    cost = Cost()
    await watch.snapshot()  # the scripts are loaded
    for _ in range(20):
        before, began = await busy(client), time.perf_counter()
        await watch.snapshot()
        cost.all.append(1000 * (time.perf_counter() - began))
        cost.server.append(await busy(client) - before)
    return cost


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_snapshot_costs_the_server_no_more_for_a_million_messages(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        await make_queues(server.url, client)
        async with open_link(server.url) as link, open_watch(link) as watch:
            empty = await measure(client, watch)
            await fill(client)
            full = await measure(client, watch)
            async with timed(client) as calls:
                seen = await watch.snapshot()
    assert sum(queue.counts.pending for queue in seen.queues) == PENDING
    assert sum(queue.counts.dead for queue in seen.queues) == DEAD
    assert sum(len(queue.consumers) for queue in seen.queues) == SESSIONS
    assert sum(each.held for queue in seen.queues for each in queue.sessions) == SESSIONS * 10
    assert all(len(queue.letters) == GROUPS for queue in seen.queues)
    found = f"empty: {empty}; full: {full}; one call {statistics.median(calls.milliseconds):.3f} ms"
    print(found)  # noqa: T201  # what was measured, for who runs it with -s
    # Ten groups of dead letters of each queue are read, too.
    assert min(full.server) < 4 * min(empty.server), found
    # The promise is 5. On a machine whose cores and caches others used it was 6 to 7, and there is room.
    assert min(full.server) < 20, found
    assert min(full.all) < 200, found
    assert len(calls.milliseconds) == QUEUES
    assert statistics.median(calls.milliseconds) < 1, found
