"""Runs the clock: `python -m producer.clock`."""

import sys

from shared.health.check import check_instead
from shared.lasting import lasting
from shared.signals import Signals

if __name__ == "__main__":
    check_instead("clock")
    signals = Signals()  # before the imports, which take a second
    with lasting():
        from producer.clock.service import prepare, work
        from shared.service import run_service

    sys.exit(run_service("clock", work, signals, prepare=prepare))
