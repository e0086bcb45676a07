"""What a service is around its work: settings, logs, signals, exit codes."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog

from shared.arguments import read_arguments
from shared.concurrency import ConcurrencyError
from shared.environment import SettingsError
from shared.logs import configure_logs
from shared.settings import Settings

log = structlog.get_logger(__name__)

_MISTAKE = 2


class ServiceError(Exception):
    """The service cannot work as it was set up; the message says what to change."""


def run_service(name: str, work: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> int:
    """Run a service until its work ends; returns the exit code.

    `work` gets the settings and an event that SIGTERM or SIGINT sets: then it drains and returns. A second signal ends
    the process at once. 0: the work ended or was drained; 2: the set-up is wrong, one line on stderr says what to do.
    """
    read_arguments(name, Settings)
    try:
        settings = Settings.load()
        configure_logs(settings)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_with_signals(name, settings, work))
    except (SettingsError, ServiceError, ConcurrencyError) as error:
        sys.stderr.write("".join(f"{name}: {line}\n" for line in str(error).splitlines()))
        return _MISTAKE
    return 0


async def _with_signals(
    name: str, settings: Settings, work: Callable[[Settings, asyncio.Event], Awaitable[None]]
) -> None:
    stopping = asyncio.Event()

    def stop(ending: signal.Signals) -> None:
        if stopping.is_set():
            log.warning("a second signal: leaving at once", service=name)
            os._exit(128 + ending)  # what we hold comes back at the session's deadline
        log.info("stopping", service=name, signal=ending.name, grace_seconds=settings.grace)
        stopping.set()

    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop, ending)
    await work(settings, stopping)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one: messages are handled about twice as fast."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
