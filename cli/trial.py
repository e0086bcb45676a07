"""`./run demo` of a project without the word count: its own job, through real processes and a real server."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.concurrency import ConcurrencyError, Queue, QueueStatistics, Session
from shared.environment import SettingsError
from shared.local.embedded import EmbeddedServer
from shared.local.parent_death import kernel_ties, tied, watched
from shared.local.server_error import EmbeddedServerError
from shared.message import Message
from shared.settings import Settings

_ROOT: Final = Path(__file__).resolve().parent.parent
_PATIENCE: Final = 20.0
_LINES: Final = 8

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class TrialError(Exception):
    """A service ended as it should not; the message says which, and what it said last."""


class Service:
    """One service in an OS process of its own; what it says goes to a file."""

    def __init__(self, module: str, url: str, said: Path) -> None:
        """Start `python -m module`, at this server and with the environment's other settings."""
        self.module: Final = module
        self._said = said
        self._watchdog = ExitStack()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        # A file with another address would be one too many.
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("REDIS_URL")}
        with said.open("wb") as file:
            self.process: Final = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=_ROOT,
                env={**kept, "PYTHONPATH": path, "REDIS_URL": url},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
            )
        if not kernel_ties():
            self._watchdog.enter_context(watched(self.process.pid))

    def check(self, *, may_end: bool) -> bool:
        """Whether it has ended, as a producer may that has nothing left to put.

        :raises TrialError: when it ended otherwise.
        """
        code = self.process.poll()
        if code is not None and not (may_end and code == 0):
            last = "\n".join(self._said.read_text(errors="replace").splitlines()[-_LINES:])
            raise TrialError(f"{self.module} ended with code {code}; its last words:\n{last}")
        return code is not None

    def stop(self) -> None:
        """Have it drain; kill it where that takes too long."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._watchdog.close()


@contextmanager
def started(url: str, folder: Path, consumers: int) -> Iterator[tuple[Service, list[Service]]]:
    """The producer, and all others, until the end of the block: the clock and so many consumers."""
    with ExitStack() as running:

        def start(number: int, module: str) -> Service:
            service = Service(module, url, folder / f"{number}-{module}.log")
            running.callback(service.stop)
            return service

        others = [start(number, "consumer") for number in range(1, consumers + 1)]
        others.append(start(consumers + 1, "producer.clock"))
        yield start(0, "producer"), others


async def watch(
    url: str, settings: Settings, services: tuple[Service, list[Service]], seconds: float
) -> QueueStatistics:
    """Wait until the source has ended and nothing is left to handle, or until the time is over; what was counted."""
    producer, others = services
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with Session.open(url) as session:
        queue = Queue(session, settings.queue, Message)
        has_ended, now = False, await queue.statistics()
        while loop.time() < end:
            has_ended = producer.check(may_end=True)
            for service in others:
                service.check(may_end=False)
            now = await queue.statistics()
            if has_ended and not now.pending + now.leased + now.delayed + now.puts_waiting:
                break
            await asyncio.sleep(0.1)
        return now


@app.command()
def trial(
    consumers: Annotated[int, typer.Option(min=1, max=64, help="Consumer processes.")] = 2,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds after which it ends, though the source has not.")] = 60,
) -> None:
    """Run this project's own job: one producer, some consumers and the clock, on a server of their own.

    Exit code: 0 when everything that was put was handled, 1 when something is a dead letter or left, 2 a mistake.
    """
    settings = Settings.load()
    with (
        tempfile.TemporaryDirectory(prefix="weir-") as folder,
        EmbeddedServer(Path(folder) / "server") as server,
        started(server.url, Path(folder), consumers) as services,
    ):
        counts = asyncio.run(watch(server.url, settings, services, seconds))
    left = counts.pending + counts.leased + counts.delayed
    sys.stdout.write(
        f"queue {settings.queue}: {counts.put_total} put, {counts.acked_total} handled by {consumers} consumers, "
        f"{counts.dead_total} dead, {left} left\n"
    )
    if not counts.put_total:
        sys.stdout.write("nothing was put: producer/source.py yields what is to be done\n")
    if counts.dead or left:
        raise typer.Exit(1)


def main() -> None:
    """Run it; what a user can mend is one line and exit code 2."""
    try:
        app(prog_name="./run demo")
    except (SettingsError, EmbeddedServerError, ConcurrencyError) as error:
        sys.stderr.write("".join(f"demo: {line}\n" for line in str(error).splitlines()))
        sys.exit(2)
    except TrialError as error:
        sys.stderr.write(f"demo: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
