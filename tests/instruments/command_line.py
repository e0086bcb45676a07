"""Our modules in processes of their own, without their start: forked from one that has imported everything.

What the process does is what `python -m cli` or `python -m consumer` does; only the second that the imports take is spared, for each of some
hundred calls.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from shared.local.parent_death import tied

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def environment(**settings: str) -> dict[str, str]:
    """Our environment for a process of the project: without what would change it, and with these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


_FORKS: Final = """
import json, os, runpy, sys
import cli.dead, cli.queue, cli.schema, cli.steps, consumer.worker.blocked_loop, consumer.executors.dispatch, consumer.worker.worker, shared.service
for line in sys.stdin:
    module, arguments, variables, out, err = json.loads(line)
    child = os.fork()
    if not child:
        os.environ.clear()
        os.environ.update(variables)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = [module, *arguments]
        code = 0
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@cache
def ready() -> "subprocess.Popen[str]":
    """The process that forks, one for each process of tests; it ends with it."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _FORKS],
        cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=tied(),  # noqa: PLW1509
    )  # fmt: skip
    atexit.register(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    with process:
        process.kill()


@contextlib.contextmanager
def _files() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "out", Path(folder) / "err"


def command(
    arguments: tuple[str, ...], variables: dict[str, str], module: str = "cli"
) -> "subprocess.CompletedProcess[str]":
    """Run a module with these arguments and these environment variables, and wait for its end."""
    forks = ready()
    if forks.stdin is None or forks.stdout is None:
        raise AssertionError("started with pipes")
    with _files() as (out, err):
        forks.stdin.write(json.dumps([module, arguments, variables, str(out), str(err)]) + "\n")
        forks.stdin.flush()
        code = int(forks.stdout.readline())
        return subprocess.CompletedProcess(
            [module, *arguments], code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )
