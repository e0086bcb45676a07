"""Runs a handler's process: `python -m consumer.executors PARENT MODULE...`."""

import signal
import sys

from shared.lasting import lasting
from shared.signals import ENDINGS, pass_over

if __name__ == "__main__":
    # Before the imports, which take half a second: a signal to all processes of a service is meant for the service.
    before = {ending: signal.signal(ending, pass_over) for ending in ENDINGS}
    with lasting():
        from consumer.executors.child import serve

    serve(int(sys.argv[1]), sys.argv[2:], before)
