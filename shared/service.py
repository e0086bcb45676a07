"""What a service is around its work: settings, logs, signals, exit codes."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from redis.exceptions import RedisError

from shared.arguments import read_arguments
from shared.concurrency import ConcurrencyError
from shared.environment import SettingsError
from shared.escapes import escaped
from shared.lasting import spare_what_stays
from shared.logs import Log, configure_logs, flush_logs
from shared.settings import Settings
from shared.signals import Signals
from shared.upgrades import UpgradeMissing

log = Log("service")

_FAILED, _MISTAKE = 1, 2

Work = Callable[[Settings, asyncio.Event], Awaitable[None]]


class ServiceError(Exception):
    """The service cannot work as it was set up; the message says what to change."""


class Unfinished(Exception):
    """The service has ended and could not give back what it held; the message says what becomes of it."""


class Stopped(Exception):
    """The service was stopped before it had started."""


def run_service(name: str, work: Work, signals: Signals, *, prepare: Callable[[Settings], None] | None = None) -> int:
    """Run a service until its work ends; returns the exit code.

    `prepare` is called first, once the settings are known to be right: for imports that take long. A signal ends the
    process at once until it has returned. `work` gets the settings and an event that SIGTERM or SIGINT sets: then it
    drains and returns. A second signal ends the process at once. 0: the work ended or was drained, or was stopped
    before it had started; 1: a server failed a command of the application's own, or did not take back what the service
    held, or that was lost while it drained, one line says which; 2: the set-up is wrong, one line on stderr says what
    to do.
    """
    read_arguments(name, Settings)
    try:
        settings = Settings.load()
        configure_logs(settings)
        if prepare is not None:
            prepare(settings)
        spare_what_stays()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            _run(runner.get_loop(), _with_signals(name, settings, work, signals))
    except Stopped:
        log.info("stopped before it had started", service=name)
    except RedisError as error:
        _complain(name, f"a server failed a command of the application: {type(error).__name__}: {error}")
        return _FAILED
    except Unfinished as error:
        _complain(name, str(error))
        return _FAILED
    except (SettingsError, ServiceError, UpgradeMissing, ConcurrencyError) as error:
        _complain(name, str(error))
        return _MISTAKE
    finally:
        flush_logs()
    return 0


def _run(loop: asyncio.AbstractEventLoop, service: Coroutine[Any, Any, None]) -> None:
    """Run the loop until the service has ended; raises what it raises.

    A task that a handler has started ends the loop by `sys.exit()`, and anybody by `loop.stop()`: it is run again.
    """
    task = loop.create_task(service)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            if interrupted and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise  # Ctrl-C, which nobody else looks at
            if not task.done():
                log.defect(error, "something has ended the event loop: it is run again")
    task.result()


def _complain(name: str, text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        sys.stderr.write("".join(f"{name}: {escaped(line)}\n" for line in text.splitlines()))


async def _with_signals(name: str, settings: Settings, work: Work, signals: Signals) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(ending: signal.Signals) -> None:
        stopping.set()
        log.info("stopping", service=name, signal=ending.name, grace_seconds=settings.grace)

    with signals.delivered_to(lambda ending: loop.call_soon_threadsafe(stop, ending)):
        await work(settings, stopping)


@contextlib.asynccontextmanager
async def unless(stopping: asyncio.Event) -> AsyncIterator[None]:
    """Start inside the block: it is cancelled once `stopping` is set.

    :raises Stopped: when it was cancelled for that.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a service starts inside a task")
    before = task.cancelling()
    is_cancelled = False

    async def watch() -> None:
        nonlocal is_cancelled
        await stopping.wait()
        is_cancelled = True
        task.cancel()

    watching = asyncio.create_task(watch(), name="service-start")
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        # What the cancellation broke is no mistake of the set-up.
        if is_cancelled and task.uncancel() <= before:
            raise Stopped from error
        raise
    else:
        if is_cancelled:  # somebody swallowed it; the work sees `stopping`
            task.uncancel()
    finally:
        watching.cancel()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one: messages are handled about twice as fast."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
