"""The embedded server in the foreground, for services started by hand in other terminals: `./run server`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.local.address import RUN_DIRECTORY, published
from shared.local.embedded import EmbeddedServer
from shared.local.server_error import EmbeddedServerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until Ctrl-C or SIGTERM (exit code 0); 1 when it ends by itself, 2 when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="./run server",
        description=__doc__,
        epilog="Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 the server ended by itself; 2 it cannot start.",
    )
    parser.add_argument(
        "--directory", type=Path, default=RUN_DIRECTORY, help="the folder of its address, log and data (.run/)"
    )
    parser.add_argument("--port", type=int, default=0, help="listen on this port of 127.0.0.1 too")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error("--port must be between 0 and 65535")
    try:
        return serve(options.directory, options.port)
    except (EmbeddedServerError, OSError) as error:
        sys.stderr.write(f"run: {error}\n")
        return 2


def serve(directory: Path, port: int) -> int:
    """Run the server, print its address, wait for a signal; returns the exit code.

    Raises EmbeddedServerError, OSError.
    """
    # Under nohup a hang-up stays ignored.
    stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        stops.remove(signal.SIGHUP)
    # Blocked from before the start, so that a signal at any moment leads to the orderly end below. SIGCHLD needs a
    # handler, or it may be discarded instead of waiting for us.
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, stops | {signal.SIGCHLD})
    with EmbeddedServer(directory, append_only=True, port=port) as server, published(server.url, directory):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stderr.write(f"{server.version} is running and keeps its data in {directory}; Ctrl-C stops it\n")
        while server.running:
            if signal.sigwait(stops | {signal.SIGCHLD}) in stops:
                return 0
    sys.stderr.write(f"run: the server ended by itself; its log is {server.log}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
