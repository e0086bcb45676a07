"""The progress of a demo on the terminal: a bar, and what the queue looks like."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from shared.concurrency import QueueStatistics


class DemoProgress:
    """A live line on stderr; nothing where stderr is no terminal."""

    def __init__(self, maxsize: int, expected: int) -> None:
        """Prepare. `expected`: about how many messages there will be."""
        self._bound = str(maxsize) if maxsize else "no bound"
        self._expected = expected
        self._finished = 0
        self._rate = 0.0
        self._measured = (0.0, 0)
        self._progress = Progress(
            TextColumn("[bold]words"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=expected, told="starting the services")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, seconds: float, statistics: QueueStatistics, kills: int) -> None:
        """Show how things are after so many seconds."""
        done = statistics.acked_total
        since, before = self._measured
        if seconds - since >= 0.5:
            self._rate = (done - before) / (seconds - since)
            self._measured = (seconds, done)
        told = [
            f"pending {statistics.pending}/{self._bound}",
            f"{self._rate:,.0f} messages/s",
            f"{statistics.puts_waiting} puts wait",
        ]
        if kills:
            told.append(f"[red]{kills} killed[/red], {statistics.recovered_total} recovered")
        total = max(self._expected, statistics.put_total)
        self._progress.update(self._task, completed=done, total=total, told=" · ".join(told))
