"""What a service imports stays as long as its process. Imports nothing that takes time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Make what stays for good: the garbage collector rests inside the block, and leaves alone what is there then.

    It would come 150 times while a service imports its modules, and find next to nothing; and walk through all of them
    with each full collection later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
