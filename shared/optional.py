"""Optional packages: a library that takes one along wherever it finds it is told that there is none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(package: str) -> Iterator[None]:
    """Have imports inside the block not find a package, if nobody has imported it before; then it is found as ever.

    A None among `sys.modules` is how Python is told so: the import raises ModuleNotFoundError.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # typeshed knows modules alone
    try:
        yield
    finally:
        del sys.modules[package]
