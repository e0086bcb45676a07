"""The demo: several processes count the words of a directory tree through the queue, and the result is checked."""

import asyncio
import secrets
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from cli.demo.chaos import Chaos
from cli.demo.dead import group_dead
from cli.demo.page import show_page
from cli.demo.processes import Processes
from cli.demo.progress import DemoProgress
from cli.demo.reference import count_files, estimate, list_files
from cli.demo.report import Report
from cli.demo.server import DemoServer, demo_server
from shared.concurrency import Queue, QueueStatistics, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client
from shared.demo.lease_waits import Waits
from shared.demo.word_counts import WordCounts
from shared.message import Message
from shared.patience import PATIENCE, report_that_it_waits

_RUN = "demo"
_LOOK_EVERY = 0.02
# Short under --chaos, so that the deliveries of a killed consumer come back while one watches.
_TTL, _CHAOS_TTL = 10.0, 2.0


class DemoError(Exception):
    """The demo cannot begin as it was asked for; the message says what to change."""


class ServiceFellError(Exception):
    """A service ended by itself in the middle of the demo; the message holds what it said last."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What to do."""

    path: Path | None
    glob: str
    consumers: int
    producers: int
    maxsize: int
    chaos: bool
    watch: bool = False
    """Whether a page shows it."""

    def run(self) -> Report:
        """Do it. Raises DemoError, ServiceFellError, SettingsError, EmbeddedServerError, ConcurrencyError."""
        files = self._files()
        queue = f"demo-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(prefix="weir-demo-") as folder:
            directory = Path(folder)
            with (
                demo_server(directory / "server", queue) as server,
                Processes(directory, server.variables | self.settings(queue)) as processes,
            ):
                stopping = signal.signal(signal.SIGTERM, _interrupt), signal.signal(signal.SIGHUP, _interrupt)
                try:
                    return asyncio.run(self._watch(server, queue, processes, files))
                finally:
                    for ending, handler in zip((signal.SIGTERM, signal.SIGHUP), stopping, strict=True):
                        signal.signal(ending, handler)

    def _files(self) -> list[Path]:
        if self.path is not None and not self.path.is_dir():
            raise DemoError(f"{self.path} is no directory")
        try:
            files = list_files(self.path, self.glob)
        except (ValueError, NotImplementedError) as error:
            raise DemoError(f"--glob {self.glob!r}: {error}") from error
        if not files:
            raise DemoError(f"no file below {self.path or 'the standard library'} matches {self.glob}: see --glob")
        return files

    def settings(self, queue: str) -> dict[str, str]:
        """The variables of its services, but for those of the server."""
        settings = {
            "PIPELINE_QUEUE": queue,
            "PIPELINE_RUN": _RUN,
            "PIPELINE_SOURCE_RUN": _RUN,
            "PIPELINE_MAXSIZE": str(self.maxsize),
            # Kills at random say nothing of a message; what is counted has to be exact.
            "PIPELINE_MAX_CRASHES": "none",
            "PIPELINE_MAX_MESSAGE_BYTES": str(1 << 24),
            "PIPELINE_SESSION_TTL": str(_CHAOS_TTL if self.chaos else _TTL),
            "PIPELINE_SOURCE_GLOB": self.glob,
            "PIPELINE_LOG_FORMAT": "json",
        }
        return settings | ({"PIPELINE_SOURCE_PATH": str(self.path.resolve())} if self.path else {})

    async def _until_done(self, watch: "_Watch", progress: DemoProgress, processes: Processes, chaos: Chaos) -> None:
        killing = asyncio.create_task(self._start(processes, chaos))
        try:
            while not await watch.look():
                progress.show(watch.seconds, watch.statistics, chaos.kills)
                if killing.done():
                    killing.result()
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            # More than once: a client of redis-py may swallow a cancellation.
            while not killing.done():
                killing.cancel()
                await asyncio.wait({killing}, timeout=0.1)
        if self.chaos and not chaos.kills:
            chaos.kill(processes.consumers[0])  # there was nothing to hold

    async def _watch(self, server: DemoServer, queue: str, processes: Processes, files: list[Path]) -> Report:
        report_that_it_waits("demo")
        opening = Session.open(server.url, connect_timeout=PATIENCE, credentials=server.password)
        async with opening as session, client(read_address(server.url, server.password)) as connected:
            here = Queue(session, queue, Message)
            watch = _Watch(here, processes)
            chaos = Chaos(processes, here)
            if self.watch:
                await here.statistics()
                await show_page(processes, queue)
            with DemoProgress(self.maxsize, estimate(files)) as progress:
                await self._until_done(watch, progress, processes, chaos)
            await asyncio.to_thread(processes.stop, processes.consumers, 10.0)
            counted = await WordCounts(connected, queue, _RUN).total()
            waited = await Waits(connected, queue, _RUN, owner="").read()
            read, reference = await asyncio.to_thread(count_files, files)
            return Report(
                files=read,
                messages=watch.statistics.put_total,
                counts=counted.words,
                reference=reference,
                maxsize=self.maxsize,
                max_pending=watch.max_pending,
                consumers=self.consumers,
                producers=self.producers,
                kills=chaos.kills,
                recovered=watch.statistics.recovered_total,
                dead=watch.statistics.dead,
                dead_groups=await group_dead(here),
                seconds=watch.seconds,
                stop_words=counted.stop_words,
                dictionary_versions=len(counted.versions),
                torn_reads=waited.torn_reads,
                longest_read_wait=waited.longest_read,
                longest_write_wait=waited.longest_write,
            )

    async def _start(self, processes: Processes, chaos: Chaos) -> None:
        """Start the services; with chaos the victim first, so that it surely takes a message, then kill on and on."""
        processes.start_clock()
        processes.start_consumer("cli.demo.victim" if self.chaos else "consumer")
        for _ in range(self.producers):
            processes.start_producer(self.producers)
        if self.chaos:
            await chaos.victim_holds()
        for _ in range(self.consumers - 1):
            processes.start_consumer()
        if self.chaos:
            await chaos.run()


class _Watch:
    """What is seen of a demo from outside."""

    def __init__(self, queue: Queue[Message], processes: Processes) -> None:
        self._queue = queue
        self._processes = processes
        self._started_at: float | None = None
        self.seconds = 0.0
        self.max_pending = 0
        self.statistics: QueueStatistics

    async def look(self) -> bool:
        """Look once; whether all is done. Raises ServiceFellError."""
        ended = [producer.code == 0 for producer in self._processes.producers]
        self.statistics = seen = await self._queue.statistics()
        self.max_pending = max(self.max_pending, seen.pending)
        if seen.put_total and self._started_at is None:
            self._started_at = monotonic()
        if self._started_at is not None:
            self.seconds = monotonic() - self._started_at
        if fallen := self._processes.fallen():
            raise ServiceFellError(f"a {fallen.module} ended by itself with code {fallen.code}:\n{fallen.said()}")
        waiting = seen.pending + seen.leased + seen.delayed + seen.puts_waiting
        return bool(ended) and all(ended) and waiting == 0


def _interrupt(ending: int, _: object) -> None:
    """End as Ctrl-C does: the processes first."""
    sys.exit(128 + ending)
