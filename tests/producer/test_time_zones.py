"""Cron by the wall of a place: the hours of its zone, each time once, whatever its clocks do."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

import pytest
from arq import cron
from arq.cron import CronJob
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from producer.clock.cron import cron_job, make_up
from producer.clock.schedule import Schedule
from producer.clock.wall_time import ZonedJob
from shared.clock.jobs import clock_queue

TOKYO: Final = ZoneInfo("Asia/Tokyo")
BERLIN: Final = ZoneInfo("Europe/Berlin")
MINUTE: Final = timedelta(minutes=1)
QUARTER: Final = timedelta(minutes=15)
"""All clocks are changed at one."""
# A change of the hour, of half an hour, at midnight, of a whole day, one month apart; and places without any.
CHANGES: Final = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)),
    ("Africa/Casablanca", date(2024, 3, 10)),
    ("Africa/Casablanca", date(2024, 4, 14)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Kolkata", date(2026, 3, 29)),
    ("Asia/Tokyo", date(2026, 10, 25)),
]


async def job(_: dict[str, Any]) -> None:
    pass


@pytest.fixture
def address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)


def scheduled(zone: tzinfo | None, *jobs: CronJob) -> list[CronJob]:
    """The jobs of a schedule in this zone, as arq gets them."""

    class WorkerSettings(Schedule):
        timezone: ClassVar[tzinfo | None] = zone
        cron_jobs: ClassVar[list[CronJob]] = list(jobs)

    assert vars(WorkerSettings)["timezone"] is UTC  # arq reads it, and adds and compares times within it
    return WorkerSettings.cron_jobs


def runs(line: CronJob, after: datetime, until: datetime) -> Iterator[datetime]:
    """Each time of a job, as arq goes on from one to the next."""
    due = after
    while True:
        line.calculate_next(due)
        assert line.next_run is not None
        assert line.next_run > due
        due = line.next_run
        if due > until:
            return
        yield due


@pytest.fixture
def zone_of_process(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


# --- which hour -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("zone", [TOKYO, BERLIN, UTC, timezone(timedelta(hours=-3))], ids=str)
@pytest.mark.parametrize("make", ["ours", "arq's"])
async def test_it_starts_at_the_hour_of_its_zone(client: Redis, name: str, zone: tzinfo, make: str) -> None:
    when = {"hour": 6, "minute": 30}
    (line,) = scheduled(zone, cron_job(name, job, **when) if make == "ours" else cron(job, **when))  # type: ignore[arg-type]
    await make_up(client, name, [line])
    for _ in range(3):
        assert line.next_run is not None
        on_wall = line.next_run.astimezone(zone)
        assert (on_wall.hour, on_wall.minute, on_wall.second) == (6, 30, 0)
        line.calculate_next(line.next_run)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("zone_of_process", ["Asia/Tokyo", "Europe/Berlin", "America/New_York"], indirect=True)
@pytest.mark.parametrize("month", range(1, 13))
def test_without_one_it_is_that_of_the_process_all_the_year(zone_of_process: str, month: int) -> None:
    (line,) = scheduled(None, cron_job("q", job, month=month, day=28, hour={2, 6}, minute=30))
    line.calculate_next(datetime(2026, 1, 1, tzinfo=UTC))
    assert line.next_run is not None
    on_wall = line.next_run.astimezone(ZoneInfo(zone_of_process))
    assert (on_wall.month, on_wall.day, on_wall.hour, on_wall.minute) == (month, 28, 2, 30)


# --- which is made up -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("hour", range(24))
async def test_what_ran_before_the_clocks_went_back_is_not_made_up_after(client: Redis, name: str, hour: int) -> None:
    (line,) = scheduled(BERLIN, cron_job(name, job, hour=hour, minute=30))
    line.calculate_next(datetime(2026, 10, 24, 12, tzinfo=UTC))
    ran = line.next_run
    assert ran is not None
    await client.zadd(f"{clock_queue(name)}:done", {line.name: round(ran.timestamp() * 1000)})
    for minutes in (1, 31, 61, 121, 23 * 60):
        now = ran + timedelta(minutes=minutes)
        await make_up(client, name, [line], now)
        assert line.next_run is not None
        assert line.next_run > now
        assert line.next_run.astimezone(BERLIN).hour == hour


# --- both changes of the hour, in each hour of the day ----------------------------------------------------------------


@cache
def walls(change: tuple[str, date]) -> dict[datetime, list[datetime]]:
    """What the wall shows in each quarter of some days around a change, and when: once, or twice."""
    zone, time = ZoneInfo(change[0]), begin(change) - timedelta(days=2)
    shown: dict[datetime, list[datetime]] = {}
    for _ in range(7 * 24 * 4):
        shown.setdefault(time.astimezone(zone).replace(tzinfo=None), []).append(time)
        time += QUARTER
    return shown


@cache
def named(change: tuple[str, date]) -> dict[datetime, datetime]:
    """When what is named by a time on the wall is due: the first time, or at once after what is skipped."""
    shown = walls(change)
    due: dict[datetime, datetime] = {}
    time, following = max(shown), max(shown)
    while time >= min(shown):
        following = time if time in shown else following
        due[time] = shown[following][0]
        time -= QUARTER
    return due


def begin(change: tuple[str, date]) -> datetime:
    return datetime(*change[1].timetuple()[:3], tzinfo=UTC) - timedelta(days=1)


def expected(change: tuple[str, date], hours: set[int], minute: int) -> set[datetime]:
    if hours == set(range(24)):
        return {time for wall, times in walls(change).items() for time in times if wall.minute == minute}
    return {due for wall, due in named(change).items() if wall.hour in hours and wall.minute == minute}


hours = st.sets(st.integers(0, 23), min_size=1)


@pytest.mark.slow
@given(
    change=st.sampled_from(CHANGES),
    named_hours=hours,
    minute=st.sampled_from([0, 15, 30, 45]),
    start=st.integers(0, 60 * 24),
)
@settings(deadline=None, max_examples=30)
@example(change=CHANGES[0], named_hours={2}, minute=30, start=0)
@example(change=CHANGES[1], named_hours={2}, minute=30, start=1441)
@example(change=CHANGES[10], named_hours=set(range(23)), minute=0, start=0)
@example(change=CHANGES[1], named_hours=set(range(24)), minute=30, start=0)
def test_each_time_comes_once_and_in_every_hour_where_all_are_named(
    change: tuple[str, date], named_hours: set[int], minute: int, start: int
) -> None:
    since = begin(change) + start * MINUTE
    until = since + timedelta(days=2)
    line = ZonedJob.of(cron_job("q", job, hour=named_hours, minute=minute, microsecond=0), ZoneInfo(change[0]))
    due = sorted(time for time in expected(change, named_hours, minute) if since < time <= until)
    assert list(runs(line, since, until)) == due
    if len(named_hours) == 24:
        line = ZonedJob.of(cron_job("q", job, minute=minute, microsecond=0), ZoneInfo(change[0]))
        assert list(runs(line, since, until)) == due


@pytest.mark.slow  # all of them; the test above draws some
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_each_hour_of_the_day(change: tuple[str, date]) -> None:
    since = begin(change)
    until = since + timedelta(days=3)
    for hour in range(24):
        line = ZonedJob.of(cron_job("q", job, hour=hour, minute={0, 30}, microsecond=0), ZoneInfo(change[0]))
        due = sorted(expected(change, {hour}, 0) | expected(change, {hour}, 30))
        assert list(runs(line, since, until)) == [time for time in due if since < time <= until], hour


@settings(deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    named_hours=st.none() | hours,
    second=st.tuples(st.integers(0, 59), st.integers(0, 999_999)),
    start=st.integers(0, 2 * 24 * 3600),
    more=st.timedeltas(timedelta(microseconds=1), timedelta(hours=4)),
)
def test_the_next_time_is_the_same_from_wherever_one_looks(
    change: tuple[str, date], named_hours: set[int] | None, second: tuple[int, int], start: int, more: timedelta
) -> None:
    since = begin(change) + timedelta(seconds=start)
    line = ZonedJob.of(
        cron_job("q", job, hour=named_hours, second=second[0], microsecond=second[1]), ZoneInfo(change[0])
    )
    line.calculate_next(since)
    due = line.next_run
    assert due is not None
    line.calculate_next(max(since, due - more))
    assert line.next_run == due
