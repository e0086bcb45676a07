"""bullmq, the Python package of its authors: jobs that are removed when they are done, 100 at once.

Its fastest usual configuration for no-op async jobs; the many jobs of a benchmark would stay in Redis otherwise. Of its
priorities the smallest number goes first, behind jobs that have none. It cannot wait for one job as its Node.js version
does (waitUntilFinished): its QueueEvents tell of all that are completed, with their results.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from bullmq import Queue, QueueEvents, Worker  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

_LOW, _HIGH = 10, 1


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _options(priority: int = 0) -> dict[str, Any]:
    return {"removeOnComplete": True, **({"priority": priority} if priority else {})}


class Completed:
    """Who waits for which job."""

    def __init__(self, url: str) -> None:
        """Listen from now on."""
        self.waiting: dict[str, asyncio.Future[object]] = {}
        # The first event may come before its first read: none of an emptied server is older.
        self._events = QueueEvents("bench", {"connection": url, "lastEventId": "0"})
        self._events.on("completed", self._heard)

    def _heard(self, event: dict[str, Any], _: str) -> None:
        if (waiting := self.waiting.pop(event["jobId"], None)) is not None:
            waiting.set_result(event["returnvalue"])


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last job of a bulk put has a higher priority than the others."""
    return Queue("bench", {"connection": url}), bool(quiet), Completed(url) if results else None


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job."""
    await c[0].add("task", {"i": i, "ts": ts, **body}, _options())


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one job with an id of its own, and wait for the event that it is completed."""
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    id_ = uuid.uuid4().hex
    c[2].waiting[id_] = done
    await c[0].add("task", {"i": i, "ts": ts, **body}, {**_options(), "jobId": id_})
    return await done


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs, 500 in a pipeline."""
    jobs = [{"name": "task", "data": {"i": i, "ts": ts, **body}, "opts": _options()} for i, ts, body in messages]
    if c[1]:
        for job in jobs:
            job["opts"] = _options(_LOW)
        jobs[-1]["opts"] = _options(_HIGH)
    for first in range(0, len(jobs), 500):
        await c[0].addBulk(jobs[first : first + 500])


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:  # noqa: ARG001  # the same to it
    """Run its worker."""

    async def process(job: Any, _token: str) -> int:
        item = Task.model_validate(job.data)
        hook(item.i, item.ts)
        return item.i

    async def run() -> None:
        worker = Worker("bench", process, {"connection": url, "concurrency": 100})
        await asyncio.Event().wait()
        await worker.close()

    asyncio.run(run())
