"""The garbage collector of a service: it does not visit what is there for good, or under way, again and again."""

import gc
from typing import Final

_YOUNG: Final = 5_000
"""So many objects more than have gone have come before the young ones are visited.

Python's own number, 700, are those of some fifty messages: with a few hundred in hand each object would be visited
several times before it goes by itself.
"""


def spare_what_stays() -> None:
    """Have the collector leave alone what exists now, and come less often.

    For a process whose life begins here: once, after its imports. A collection of all would visit some 100,000 objects
    of the modules each time. Cycles that come from here on are found as ever.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
