"""The garbage collector of a service leaves alone what stays, and finds what comes to lead back to itself."""

import subprocess
import sys

_PROGRAM = """
import gc, weakref
from shared.lasting import lasting

with lasting():
    assert not gc.isenabled()
    import shared.service
assert gc.isenabled()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
young, *older = gc.get_threshold()

class Ring:
    def __init__(self):
        self.itself = self

lost = weakref.ref(Ring())
assert lost() is not None
kept = [[] for _ in range(2 * young)]
assert lost() is None, "what comes later is collected as ever"
"""


def test_what_is_there_is_not_visited_again_and_what_comes_later_is() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_who_has_it_come_seldomer_is_not_overruled_and_garbage_is_not_kept() -> None:
    program = """
import gc, weakref
from shared.lasting import lasting, spare_what_stays

class Ring:
    def __init__(self):
        self.itself = self

gc.disable()
with lasting():
    pass
assert not gc.isenabled()
lost = weakref.ref(Ring())
gc.set_threshold(100_000, 5, 5)
spare_what_stays()
assert lost() is None
assert gc.get_threshold() == (100_000, 5, 5)
gc.set_threshold(0)
spare_what_stays()
assert gc.get_threshold()[0] == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_service_spares_what_stays() -> None:
    program = """
import gc, sys
from shared.service import run_service
from shared.signals import Signals

async def work(settings, stopping):
    print(gc.get_freeze_count() > 10_000)

sys.argv = ["service"]
sys.exit(run_service("service", work, Signals()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
