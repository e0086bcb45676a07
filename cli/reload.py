"""Runs a service anew when a file of the project changes, for development: `./run consumer --reload`."""

import asyncio
import signal
import sys
from collections.abc import Iterable, Sequence
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from watchfiles import PythonFilter, awatch

from shared.local.parent_death import watched

ROOT: Final = Path(__file__).resolve().parent.parent
_NO_PART: Final = frozenset({"benchmarks", "deploy", "docs", "tests", "tools"})
_INTERRUPTED: Final = 130


class Reloading:
    """One process of the service after the other: each drains before the next begins."""

    def __init__(self, module: str) -> None:
        """Prepare."""
        self._module: Final = module
        self._changed: Final = asyncio.Event()
        self._stopping: Final = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT, which drain the process; a second one ends it at once. Returns its exit code."""
        loop = asyncio.get_running_loop()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self._stop)
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                code = await self._run_once()
                if self._stopping.is_set():
                    return code
                if not self._changed.is_set():
                    _say(f"the {self._module} ended with code {code}; it is started anew when a file changes")
                    await self._any(self._changed, self._stopping)
                    if self._stopping.is_set():
                        return code
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _run_once(self) -> int:
        """Start it, and wait until it has ended: by itself, or because it was drained."""
        self._changed.clear()
        # A session of its own: Ctrl-C is for us, who drain it.
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.begin", self._module), cwd=ROOT, start_new_session=True
        )
        # However we end it drains. Not by the kernel: that may tell it twice, for each of our threads that ends after
        # the first one, and a second SIGTERM ends a service at once.
        with watched(process.pid, signal.SIGTERM):
            ended = asyncio.create_task(process.wait())
            told = asyncio.create_task(self._any(self._changed, self._stopping))
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if not ended.done() and not self._stopping.is_set():
                process.terminate()
            return await ended

    def _stop(self) -> None:
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def _watch(self) -> None:
        folders = [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
        watched = [each for each in folders if each.name not in _NO_PART]
        _say(f"{', '.join(sorted(each.name for each in watched))} are watched")
        async for changes in awatch(*watched, watch_filter=PythonFilter()):
            _forget_bytecode(path for _, path in changes)
            names = sorted(str(Path(path).relative_to(ROOT)) for _, path in changes)
            _say(
                f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} changed: it drains and starts anew"
            )
            self._changed.set()

    @staticmethod
    async def _any(*events: asyncio.Event) -> None:
        waiting = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()


def _forget_bytecode(sources: Iterable[str]) -> None:
    # Python takes the bytecode of a file with as many bytes and of the same second: of two saves the first would run.
    for source in sources:
        Path(cache_from_source(source)).unlink(missing_ok=True)


def _say(text: str) -> None:
    sys.stderr.write(f"reload: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; exit code 2 where anything stands behind --reload."""
    module, *more = sys.argv[1:] if arguments is None else arguments
    if more:
        sys.stderr.write(f"reload: --reload stands alone, without {more[0]}\n")
        return 2
    try:
        return asyncio.run(Reloading(module).run())
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
