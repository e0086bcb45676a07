"""A Python prompt with an open pipeline, where `await` works: `./run shell`."""

import argparse
import ast
import asyncio
import code
import concurrent.futures
import contextlib
import inspect
import sys
import threading
from collections.abc import Sequence
from types import CodeType, FunctionType
from typing import Any, Final, Self

from redis.exceptions import RedisError

from shared.concurrency import ConcurrencyError
from shared.environment import SettingsError
from shared.logs import configure_logs
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import Settings
from shared.upgrades import UpgradeMissing

_BANNER: Final = (
    "pipeline, settings, asyncio and the message classes are here: {classes}. `await` works; Ctrl-D ends it."
)


class Loop:
    """The event loop of the prompt, in a thread, with the pipeline open. Use it as a context manager."""

    def __init__(self, settings: Settings, *, resources: bool) -> None:
        """Prepare."""
        self._settings: Final = settings
        self._resources: Final = resources
        self._opened: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, Pipeline]] = (
            concurrent.futures.Future()
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), name="weir-shell")
        self._done = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.loop, self.pipeline = self._opened.result()
        except BaseException:  # also Ctrl-C: no thread is left behind
            self._thread.join()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _hold(self) -> None:
        try:
            async with open_pipeline(self._settings, resources=self._resources) as pipeline:
                self._opened.set_result((asyncio.get_running_loop(), pipeline))
                await self._done.wait()
        except BaseException as error:  # noqa: BLE001  # the other thread raises it
            if not self._opened.done():
                self._opened.set_exception(error)

    def run(self, function: FunctionType) -> None:
        """Run what was typed on the loop, and wait for it; Ctrl-C cancels it. Raises what it raises."""

        async def evaluate() -> BaseException | None:
            try:
                found = function()
                if inspect.iscoroutine(found):
                    await found
            except BaseException as error:  # noqa: BLE001  # SystemExit too: it must not end the loop
                return error
            return None

        running = asyncio.run_coroutine_threadsafe(evaluate(), self.loop)
        try:
            error = running.result()
        except KeyboardInterrupt:
            running.cancel()
            raise
        if error is not None:
            raise error


class Prompt(code.InteractiveConsole):
    """Reads, runs on the loop, shows."""

    def __init__(self, loop: Loop, names: dict[str, Any]) -> None:
        """`names`: what is there from the beginning."""
        super().__init__(names)
        self._loop = loop
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def runcode(self, code: CodeType) -> None:
        """Run one input."""
        try:
            self._loop.run(FunctionType(code, self.locals))
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("\nKeyboardInterrupt\n")
        except BaseException:  # noqa: BLE001  # as Python's own prompt
            self.showtraceback()


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the pipeline and prompt until Ctrl-D; exit code 2 where the set-up is wrong."""
    parser = argparse.ArgumentParser(prog="./run shell", description=__doc__)
    parser.add_argument("--resources", action="store_true", help="open those of shared/resources.py too")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        configure_logs(settings)
        with Loop(settings, resources=options.resources) as loop:
            classes = dict(Message.registered())
            names = {
                "__name__": "__console__",
                "asyncio": asyncio,
                "pipeline": loop.pipeline,
                "settings": settings,
                **classes,
            }
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401, PLC0415  # the keys of a line, where there is one
            with contextlib.suppress(SystemExit):
                Prompt(loop, names).interact(banner=_BANNER.format(classes=", ".join(classes) or "none"), exitmsg="")
    except (SettingsError, UpgradeMissing, ConcurrencyError, RedisError) as error:
        sys.stderr.write("".join(f"shell: {line}\n" for line in str(error).splitlines()))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
