"""Runs the consumer service: `python -m consumer`."""

import sys

from shared.health.check import check_instead
from shared.lasting import lasting
from shared.signals import Signals

if __name__ == "__main__":
    check_instead("consumer")
    signals = Signals()  # before the imports, which take a second
    with lasting():
        from consumer.service import prepare, work
        from shared.service import run_service

    sys.exit(run_service("consumer", work, signals, prepare=prepare))
