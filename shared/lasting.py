"""What a service imports stays as long as its process: the garbage collector need not visit it again and again.

Imports nothing that takes time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 5_000
"""So many objects more than have gone have come before the young ones are visited.

Python's own number, 700, are those of some fifty messages: with a few hundred in hand each object would be visited
several times before it goes by itself.
"""


@contextmanager
def lasting() -> Iterator[None]:
    """Make what stays for good: the garbage collector rests inside the block, and leaves alone what is there then.

    It would come 150 times while a service imports its modules, and find next to nothing.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if is_enabled:
            gc.enable()


def spare_what_stays() -> None:
    """Have the garbage collector leave alone what exists now, and come less often, for the rest of the process.

    A full collection would visit some 100,000 objects of the modules. Cycles that come from here on are found as ever.
    Whoever has it come seldomer still, or not at all, is not overruled.
    """
    gc.collect()  # what is frozen is never freed; next to nothing is left to look at behind `lasting`
    gc.freeze()
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG:
        gc.set_threshold(_YOUNG, *older)
