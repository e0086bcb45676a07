"""OS processes for the examples: the standard library's, started afresh and not forked."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

T = TypeVar("T")

Task = tuple[Callable[..., Coroutine[Any, Any, Any]], tuple[Any, ...]]


def in_processes(*tasks: Task) -> list[Any]:
    """Run each coroutine function with its arguments in a process of its own, all at once; return their results.

    When one fails, the others are ended, and its error is raised.
    """
    with ProcessPoolExecutor(len(tasks), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_run, function, arguments) for function, arguments in tasks]
        done, running = wait(futures, return_when=FIRST_EXCEPTION)
        if running:
            for child in active_children():
                child.terminate()
        for future in done:
            future.result()
        return [future.result() for future in futures]


def _run(function: Callable[..., Coroutine[Any, Any, T]], arguments: Sequence[Any]) -> T:
    return asyncio.run(function(*arguments))
