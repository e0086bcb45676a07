"""Cron jobs that put: once for each time, however many clocks run and are killed, and made up for when none ran."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from producer.clock.cron import cron_job, make_up
from shared.clock.jobs import clock_queue
from shared.concurrency import Queue, Session
from tests.instruments import figures
from tests.instruments.clocks import Clock, Moment, clock
from tests.instruments.command_line import environment
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until
from tests.project.test_from_arq import CRON, LINE, MESSAGE_CLASS, add_cron_job

pytestmark = pytest.mark.timeout(180)


class SendReport(BaseModel):
    """What the clocks of the copy put, seen from here."""

    customer: str


def add_reminder(project: Path, line: str) -> None:
    """Have the clock of a project put a message, as docs/from-arq.md says."""
    with (project / "shared" / "messages.py").open("a", encoding="utf-8") as source:
        source.write(f"\n\n{MESSAGE_CLASS}")
    add_cron_job(project / "producer" / "schedule.py", CRON, line)


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[SendReport]]:
    async with Session.open(url) as session:
        yield Queue(session, name, SendReport)


async def due(queue: Queue[SendReport], last: int = 0, times: int = 1) -> list[int]:
    """Take reminders until there is one for a second after `last`, and so many; the seconds that they are for."""
    seconds: list[int] = []
    async with asyncio.timeout(100):
        while len(seconds) < times or max(seconds) <= last:
            delivery = await queue.get()
            seconds.append(int(delivery.id.rpartition(":")[2]) // 1000)
            await delivery.ack()
    return seconds


def now() -> int:
    return int(datetime.now().astimezone().timestamp())


async def finished(client: Redis, name: str, last: int) -> None:
    """Wait until all reminders up to a second are done with, and what a killed clock had begun up for others."""

    async def look() -> list[int]:
        for key in await client.keys(f"arq:in-progress:cron:{name}:remind:*"):
            if await client.pttl(key) < 38_000:
                await client.delete(key)  # which its time to live would do, by and by
        jobs = [job.decode() for job in await client.zrange(clock_queue(name), 0, -1)]
        return [job for job in jobs if ":remind:" in job and int(job.rpartition(":")[2]) // 1000 <= last]

    await until(look, lambda left: not left, 90)


@pytest.mark.slow
async def test_every_second_once_with_three_clocks_that_are_killed_one_after_the_other(
    queue: Queue[SendReport], client: Redis, copy: Path, url: str, name: str
) -> None:
    add_reminder(copy, LINE)
    variables = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    async with AsyncExitStack() as stack:

        async def start() -> Clock:
            running = await stack.enter_async_context(clock(variables, copy))
            await running.said("the clock runs")
            return running

        clocks = [await start() for _ in range(3)]
        seconds = await due(queue)
        for victim in itertools.islice(itertools.cycle(range(3)), 2):
            clocks[victim].kill()
            await clocks[victim].ended()
            seconds += await due(queue, now())
            clocks[victim] = await start()
        seconds += await due(queue, now())
        last = max(seconds)
        await finished(client, name, last)
        # What was taken up again came late.
        seconds += await due(queue, now())
        for running in clocks:
            running.kill()
    told = sorted(second for second in seconds if second <= last)
    assert told == list(range(told[0], last + 1))


async def test_a_time_at_which_no_clock_ran_is_made_up_once(
    queue: Queue[SendReport], client: Redis, copy: Path, url: str, name: str
) -> None:
    missed = now() - 10
    add_reminder(copy, LINE.replace("set(range(60))", str(missed % 60)))
    # There was a clock, until it was killed a little before.
    await client.zadd(f"{clock_queue(name)}:done", {f"cron:{name}:remind": 1000 * (missed - 70)})
    variables = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    async with clock(variables, copy) as one, clock(variables, copy) as other:
        assert await due(queue) == [missed]
        await finished(client, name, missed)
        for running in (one, other):
            await running.said("the clock runs")
        # Both are at work by then; which of them does a job is chance.
        said = [asyncio.create_task(running.said("ticked")) for running in (one, other)]
        await asyncio.wait(said, return_when=asyncio.FIRST_COMPLETED)
        for task in said:
            task.cancel()
        await asyncio.wait(said)
        for running in (one, other):
            await running.stop()
    # Neither a time before nor the same one again.
    assert (await queue.statistics()).put_total == 1


ALL_KILLS: Final = [("WATCH", 1), ("EXISTS", 1), ("ZSCORE", 1), ("put", 1), *(("EXEC", nth) for nth in range(1, 6))]
KILLS: Final = ALL_KILLS if "WEIR_CAMPAIGN_CLOCK" in os.environ else [("ZSCORE", 1), ("put", 1), ("EXEC", 3)]
"""`./run campaign clock` takes all of them."""


@pytest.mark.slow
async def test_a_clock_that_is_killed_before_any_command_forgets_no_time_that_it_knew(
    queue: Queue[SendReport], client: Redis, copy: Path, url: str, name: str, *, tmp_path: Path
) -> None:
    add_reminder(copy, LINE)
    known: set[int] = set()
    (tmp_path / "socket").mkdir()
    async with Proxy(url, tmp_path / "socket") as proxy:
        for command, nth in KILLS:
            proxy.judge = lambda _: Fate.PASS
            async with clock({"REDIS_URL": proxy.url, "PIPELINE_QUEUE": name}, copy) as running:
                await running.said("the clock runs")

                # Any time's job, from when it is enqueued until it is done.
                proxy.judge = Moment(":remind:", nth, running.kill_before, (command,)).judge
                await running.ended()
            jobs = await client.keys(f"arq:job:cron:{name}:remind:*")
            known |= {int(job.decode().rpartition(":")[2]) // 1000 for job in jobs}
    async with clock({"REDIS_URL": url, "PIPELINE_QUEUE": name}, copy) as last:
        await finished(client, name, now())
        told = await due(queue, now())
        await last.stop()
    assert known
    figures.count("deaths of a clock", len(KILLS))
    assert known <= set(told)
    assert len(told) == len(set(told))


# --- which time is made up --------------------------------------------------------------------------------------------


async def job(_: dict[str, Any]) -> None:
    pass


NOW = datetime.now().astimezone()


@pytest.mark.parametrize(
    "since,when,missed",
    [
        (timedelta(seconds=30), {"second": set(range(60))}, timedelta(seconds=1)),
        (timedelta(days=900), {"second": set(range(60))}, timedelta(seconds=1)),
        (timedelta(days=900), {"second": 0}, timedelta(minutes=1)),
        (timedelta(days=900), {"minute": 0}, timedelta(hours=1)),
        (timedelta(days=900), {"hour": 3, "minute": 0}, timedelta(days=1, hours=2)),
        (timedelta(days=900), {"month": 1, "day": 1, "hour": 0, "minute": 0}, timedelta(days=367)),
        (timedelta(seconds=2), {"hour": (NOW.hour + 5) % 24, "minute": 0}, None),
        (timedelta(days=-1), {"second": set(range(60))}, None),
    ],
)
async def test_the_last_time_that_passed_is_made_up(
    client: Redis, name: str, since: timedelta, when: dict[str, Any], missed: timedelta | None
) -> None:
    line = cron_job(name, job, **when)
    done_at = datetime.now().astimezone() - since
    await client.zadd(f"{clock_queue(name)}:done", {line.name: done_at.timestamp() * 1000})
    before = datetime.now().astimezone()
    await make_up(client, name, [line])
    assert line.next_run is not None
    if missed is None:
        assert line.next_run >= before - timedelta(seconds=1)
        return
    assert before - missed - timedelta(seconds=1) <= line.next_run <= datetime.now().astimezone()
    following = cron_job(name, job, **when)
    following.calculate_next(line.next_run)
    assert following.next_run is not None
    assert following.next_run > before


async def test_a_job_that_is_new_has_missed_nothing(client: Redis, name: str) -> None:
    line = cron_job(name, job, hour=3)
    before = datetime.now().astimezone()
    await make_up(client, name, [line])
    assert line.next_run is not None
    assert line.next_run > before
    # From now on it is known, whether it ever ran or not.
    assert await client.zscore(f"{clock_queue(name)}:done", line.name) == pytest.approx(
        before.timestamp() * 1000, abs=5000
    )


async def test_what_was_done_is_remembered_and_never_goes_back(client: Redis, name: str) -> None:
    line = cron_job(name, job, hour=3)
    for due_ms in (2_000_000, 1_000_000):
        await line.coroutine({"redis": client, "job_id": f"{line.name}:{due_ms}"})
    assert await client.zscore(f"{clock_queue(name)}:done", line.name) == 2_000_000


@pytest.mark.parametrize("made_by", ["cron_job(Settings.load().queue, send", "arq.cron(send"])
def test_a_job_that_is_to_run_at_each_start_is_refused_by_name(copy: Path, url: str, made_by: str) -> None:
    schedule = copy / "producer" / "schedule.py"
    schedule.write_text(
        "import arq\n\nfrom producer.clock.cron import cron_job\nfrom producer.clock.schedule import Schedule\n"
        "from shared.settings import Settings\n\n\nasync def send(context):\n    pass\n\n\n"
        f"class WorkerSettings(Schedule):\n    cron_jobs = [{made_by}, hour=6, run_at_startup=True)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "producer.clock"],
        env=environment(PYTHONPATH=str(copy), REDIS_URL=url),
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "run_at_startup= has no effect in the clock" in done.stderr
    assert len(done.stderr.splitlines()) == 1
