"""Runs the monitor: `python -m monitor`."""

import sys

from shared.health.check import check_instead
from shared.lasting import lasting
from shared.signals import Signals

if __name__ == "__main__":
    check_instead("monitor")
    signals = Signals()  # before the imports, which take a second
    with lasting():
        from monitor.service import work
        from shared.service import run_service

    sys.exit(run_service("monitor", work, signals))
