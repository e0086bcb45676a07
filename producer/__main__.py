"""Runs the producer service: `python -m producer`."""

import sys

from shared.health.check import check_instead
from shared.lasting import lasting
from shared.signals import Signals

if __name__ == "__main__":
    check_instead("producer")
    signals = Signals()  # before the imports, which take a second
    with lasting():
        from producer.service import prepare, work
        from shared.service import run_service

    sys.exit(run_service("producer", work, signals, prepare=prepare))
