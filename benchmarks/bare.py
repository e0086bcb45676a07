"""The bare limit: a bounded list in Lua, one EVALSHA for a batch that settles and takes, and none of the guarantees.

No retry, no session, no recovery, no order of waiting: the least that a queue on one list costs, with pydantic
validation.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis

from benchmarks.ours import Task
from shared.lasting import spare_what_stays
from shared.service import loop_factory

_BATCH = 100
_REPLIES = b"bare:replies"
_PUT = b"""
if redis.call('LLEN', KEYS[1]) + #ARGV > 100000000 then return 0 end
redis.call('RPUSH', KEYS[1], unpack(ARGV))
if redis.call('LLEN', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
return 1
"""
_TAKE = b"""
for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
local found = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
if #found > 0 then
  local held = {}
  for i, body in ipairs(found) do held[2 * i - 1] = i; held[2 * i] = body end
  redis.call('HSET', KEYS[2], unpack(held))
  redis.call('LTRIM', KEYS[1], #found, -1)
end
return found
"""


class Client(asyncio.Protocol):
    """A thin client: answers arrive in the order of the commands."""

    def __init__(self) -> None:
        """Use `connect`."""
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self.asked: dict[int, asyncio.Future[int]] = {}
        """Requests without a reply so far, by their number."""
        self.reading: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Resolve the futures of the answers that arrived."""
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            self._waiting.popleft().set_result(answer)

    def command(self, *words: bytes | str | int) -> asyncio.Future[Any]:
        """Send a command."""
        assert self._transport is not None  # noqa: S101
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]
        return answer

    def script(self, source: bytes, *arguments: bytes | str | int) -> asyncio.Future[Any]:
        """Run a script that was loaded."""
        return self.command("EVALSHA", _sha(source), 3, "bare:pending", "bare:leased", "bare:wake", *arguments)

    async def submitted(self, i: int, packed: bytes) -> int:
        """Push a request that carries the number I, and wait for the reply that does."""
        reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.asked[i] = reply
        await self.script(_PUT, packed)
        return await reply


def _sha(source: bytes) -> str:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest()


async def open(url: str, *, results: bool = False) -> Client:  # noqa: A001
    """Connect to a unix:// or redis:// address; for `results` a second connection waits for the replies."""
    client = await _connect(url)
    if results:
        client.reading = asyncio.create_task(_read_replies(await _connect(url), client.asked))
    return client


async def _read_replies(replies: Client, asked: "dict[int, asyncio.Future[int]]") -> None:
    """Take the replies off their list, as many at once as there are."""
    while True:
        _, found = await replies.command("BLMPOP", 0, 1, _REPLIES, "LEFT", "COUNT", _BATCH)
        for i in map(int, found):
            asked.pop(i).set_result(i)


async def _connect(url: str) -> Client:
    loop = asyncio.get_running_loop()
    if url.startswith("unix://"):
        _, client = await loop.create_unix_connection(Client, url.removeprefix("unix://").split("?")[0])
    else:
        host, port = url.removeprefix("redis://").split("/")[0].split(":")
        _, client = await loop.create_connection(Client, host, int(port))
    for source in (_PUT, _TAKE):
        await client.command("SCRIPT", "LOAD", source)
    return client


def _body(i: int, ts: float, body: dict[str, object]) -> bytes:
    task = Task(i=i, ts=ts, **body)  # type: ignore[arg-type]
    return task.__pydantic_serializer__.to_json(task)


async def put(c: Client, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message."""
    await c.script(_PUT, _body(i, ts, body))


async def submit(c: Client, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one message, and wait for its result."""
    return await c.submitted(i, _body(i, ts, body))


async def put_many(c: Client, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put many messages, a batch a call."""
    batch: list[bytes] = []
    for message in messages:
        batch.append(_body(*message))
        if len(batch) == _BATCH:
            await c.script(_PUT, *batch)
            batch = []
    if batch:
        await c.script(_PUT, *batch)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:
    """Take, validate, handle and settle with the next take, until killed; wait on a list when the queue is empty.

    `results`: the numbers of a batch are pushed to the list of replies at once.
    """

    async def handle(task: Task) -> None:
        hook(task.i, task.ts)

    async def run() -> None:
        client = await open(url)
        done: list[int] = []
        while True:
            bodies = await client.script(_TAKE, _BATCH, *done)
            done = list(range(1, len(bodies) + 1))
            replies: list[int] = []
            for body in bodies:
                task = Task.__pydantic_validator__.validate_json(body)
                await handle(task)
                if results:
                    replies.append(task.i)
            if replies:
                await client.command("RPUSH", _REPLIES, *replies)
            if not bodies:
                await client.command("BLPOP", "bare:wake", 0)

    spare_what_stays()  # as the service does
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
