"""The live lines of a demo: how far it is, and what happens meanwhile."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from shared.concurrency import QueueStatistics


class _WithSecondLine(Progress):
    """A progress bar, and a text below it: side by side they have no room in 80 columns."""

    text = Text("starting the services")

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar, then the text."""
        yield self.make_tasks_table(self.tasks)
        yield self.text


class DemoProgress:
    """Two live lines on stderr; nothing where stderr is no terminal."""

    def __init__(self, maxsize: int, expected: int) -> None:
        """Prepare. `expected`: about how many messages there will be."""
        self._bound = str(maxsize) if maxsize else "no bound"
        self._expected = expected
        self._finished = 0
        self._rate = 0.0
        self._measured = (0.0, 0)
        self._progress = _WithSecondLine(
            TextColumn("[bold]words"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=expected)

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
        text = Text(f"pending {statistics.pending}/{self._bound} · {self._rate:,.0f}/s")
        text.append(f" · {statistics.puts_waiting} puts wait")
        if kills:
            text.append(f" · {kills} killed", "red").append(f", {statistics.recovered_total} recovered")
        self._progress.text = text
        total = max(self._expected, statistics.put_total)
        self._progress.update(self._task, completed=done, total=total)
