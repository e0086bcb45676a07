"""The web server: uvicorn with two worker processes, for the length of a block."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from shared.local.parent_death import tied

WORKERS: Final = 2


@contextmanager
def web(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield its address once all worker processes are ready; `settings`: more environment variables."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "examples.web.application:application", "--port", str(port)),
        *("--workers", str(WORKERS), "--timeout-graceful-shutdown", "5", "--no-access-log"),
    ]
    with subprocess.Popen(
        command,
        env={**os.environ, **settings},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
    ) as process:
        try:
            _wait_for(process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_for(process: "subprocess.Popen[str]") -> None:
    """Read what it says until each worker process has started; the rest is read and dropped."""
    said = process.stderr
    if said is None:
        raise RuntimeError("its output is not read")
    ready, heard = 0, []
    for line in said:
        heard.append(line)
        ready += "Application startup complete" in line
        if ready == WORKERS:
            threading.Thread(target=said.read, name="uvicorn-output", daemon=True).start()
            return
    raise RuntimeError(f"uvicorn ended: {''.join(heard)}")


def _free_port() -> int:
    with socket.socket() as any_:
        any_.bind(("127.0.0.1", 0))
        port: int = any_.getsockname()[1]
        return port
