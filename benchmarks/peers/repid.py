"""repid on Redis streams: an async actor that its own converter validates, 100 at once, acknowledged after success.

Its fastest usual configuration for no-op async jobs: its defaults, with 100 jobs at once instead of 1000. The jobs of a
dead worker are claimed every 60 seconds; by default they never are, and would not come again.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel
from repid import FullPayload, RedisServer, Repid, Router  # type: ignore[import-not-found,unused-ignore]


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


async def open(url: str) -> Any:  # noqa: A001
    """Connect."""
    app = Repid()
    app.servers.register_server("default", RedisServer(url, claim_interval=60), is_default=True)
    await app.servers.default.connect()
    return app


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message."""
    await c.send_message_json(channel="bench", payload={"i": i, "ts": ts, **body}, headers={"topic": "task"})


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put messages one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    router = Router()

    async def task(task: Annotated[Task, FullPayload()]) -> None:
        hook(task.i, task.ts)

    router.actor(task, channel="bench")

    async def run() -> None:
        app = await open(url)
        app.include_router(router)
        await app.run_worker(tasks_limit=100)

    asyncio.run(run())
