"""WallTime: when a cron line is due by the clock on a wall of one place, both changes of the hour included."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Self

from arq.cron import CronJob, next_cron
from arq.typing import OptionType

# A place has changed its clock by a whole day, and no place changes it twice within so long.
_AROUND: Final = timedelta(days=2)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class ScheduleError(ValueError):
    """The schedule asks for what the clock does not do; the message says what to write."""


@dataclass
class ZonedJob(CronJob):
    """A cron job whose times are those of a place."""

    zone: tzinfo | None = None
    """None: the zone of the process, which TZ and /etc/localtime name."""

    @classmethod
    def of(cls, job: CronJob, zone: tzinfo | None) -> Self:
        """Make one of any cron job of arq's.

        :raises ScheduleError: when it is to run at start-up: several clocks run, and each start of one would run it.
        """
        if job.run_at_startup:
            raise ScheduleError(
                f"{job.name}: run_at_startup= has no effect in the clock, which runs a job once for each of its times, and "
                "makes up the last that it missed: leave it out, and put what is to be done at a start in producer/source.py"
            )
        return cls(**{field.name: getattr(job, field.name) for field in fields(CronJob)}, zone=zone)

    def calculate_next(self, prev_run: datetime) -> None:
        """Set `next_run` to the first time after this one, in UTC.

        A job that names its hours runs once for each time on the wall: at the first of two when the clocks go back,
        and right after the change when they go forward over it. A job of every hour runs in every hour that passes.
        """
        after, wall = prev_run.astimezone(UTC), WallTime(self.zone)
        if _is_every_hour(self.hour):
            self.next_run = wall.next_of_every_hour(self, after)
        else:
            self.next_run = wall.next_of_named_hours(self, after)


class WallTime:
    """The clock on the wall of one place. What it is given and gives is UTC; times on the wall have no zone."""

    def __init__(self, zone: tzinfo | None) -> None:
        """Prepare. None: the zone of the process."""
        self._zone = zone

    def next_of_every_hour(self, job: CronJob, after: datetime) -> datetime:
        """Find the next time of a job that runs in each hour: those that come twice count twice, others not at all."""
        begin, last, offset = after, after, self._offset(after)
        while True:
            due = _utc(next(_times(job, _naive(last) + offset)) - offset)
            change = self._first_change(begin, due)
            if change is None:
                return due
            # From the change on, by the new clock.
            begin, last, offset = change, change - _MICROSECOND, self._offset(change)

    def next_of_named_hours(self, job: CronJob, after: datetime) -> datetime:
        """Find the next time of a job that runs at some hours: each time on the wall once."""
        on_wall = _naive(after) + self._offset(after)
        if self.instant(on_wall) < after:
            # The second time that the wall shows this: all of what comes twice is over.
            on_wall = self._end_of_second_time(on_wall, after)
        for time in _times(job, on_wall):
            due = self.instant(time)
            if due > after:
                return due
        raise AssertionError("the times of a job do not end")

    def instant(self, on_wall: datetime) -> datetime:
        """Tell when the wall shows this: the first time; or right after the change, if the clocks skip it."""
        before, after = self._offset(_utc(on_wall) - _AROUND), self._offset(_utc(on_wall) + _AROUND)
        first = _utc(on_wall) - before
        if self._offset(first) == before:
            return first
        second = _utc(on_wall) - after
        if self._offset(second) == after:
            return second
        change = self._first_change(second, first)
        return (change or first) + timedelta(microseconds=on_wall.microsecond)

    def _end_of_second_time(self, on_wall: datetime, now: datetime) -> datetime:
        first = self.instant(on_wall)
        change = self._first_change(first, now) or now
        return _naive(change) + self._offset(first) - _MICROSECOND

    def _offset(self, instant: datetime) -> timedelta:
        # Never a comparison or a sum within one zone: Python does these on the wall, as if no clock ever changed.
        offset = instant.astimezone(self._zone).utcoffset()
        return timedelta(0) if offset is None else offset

    def _first_change(self, since: datetime, until: datetime) -> datetime | None:
        """Find the first moment after `since`, up to `until`, at which another offset begins."""
        offset = self._offset(since)
        while since < until:
            ahead = min(since + _DAY, until)
            if self._offset(ahead) != offset:
                return self._change(since.replace(microsecond=0), ahead, offset)
            since = ahead
        return None

    def _change(self, low: datetime, high: datetime, offset: timedelta) -> datetime:
        # A clock changes at a whole second.
        while high - low > _SECOND:
            middle = low + timedelta(seconds=(high - low) // _SECOND // 2 or 1)
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high.replace(microsecond=0)


def _is_every_hour(hour: OptionType) -> bool:
    return hour is None or (not isinstance(hour, int) and set(hour) >= set(range(24)))


def _times(job: CronJob, after: datetime) -> Iterator[datetime]:
    """The times on the wall after this one, in order."""
    # arq looks from a second later on: what is due later in the same second would be left out.
    time = after - _SECOND
    while True:
        time = next_cron(
            time, month=job.month, day=job.day, weekday=job.weekday, hour=job.hour, minute=job.minute,
            second=job.second, microsecond=job.microsecond,
        )  # fmt: skip
        if time > after:
            yield time


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)


def _utc(on_wall: datetime) -> datetime:
    return on_wall.replace(tzinfo=UTC)
