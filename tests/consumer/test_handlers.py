"""What may be a handler and what its rules may say: anything else is told at import, with what to write."""

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from consumer.batches import Batch, Gather
from consumer.outcomes import Reject, Retry
from consumer.registry import handles
from consumer.rules.backoff import USUAL_BACKOFF, Backoff
from consumer.rules.errors import HandlerError, describe
from consumer.rules.handler import asks_for_pipeline, call_plain, place_of
from shared.concurrency import Delivery, Session
from shared.message import Message
from shared.pipeline import Pipeline
from tests.instruments.handlers import obey
from tests.instruments.messages import Errand


class Another(Errand):
    """A message class that another handler handles."""


async def on_loop(delivery: Delivery[Errand], pipeline: Pipeline) -> None: ...


def in_thread(delivery: Delivery[Errand], pipeline: Pipeline) -> None: ...


def test_where_a_function_runs() -> None:
    assert place_of(on_loop, None, Errand) == "loop"
    assert place_of(in_thread, None) == "thread"
    assert place_of(obey, "process") == "process"


async def with_too_many(delivery: Any, pipeline: Any, more: Any) -> None: ...
async def that_yields(delivery: Any, pipeline: Any) -> Any:
    yield delivery, pipeline


def that_yields_too(delivery: Any, pipeline: Any) -> Any:
    yield delivery, pipeline


async def async_alone(delivery: Any) -> None: ...


async def with_keyword(delivery: Any, *, pipeline: Any) -> None: ...
async def of_the_message(errand: Errand) -> None: ...
async def of_another_class(delivery: "Delivery[Another]", pipeline: Pipeline) -> None: ...
def of_another_class_in_a_process(delivery: "Delivery[Another]") -> None: ...
async def with_the_session(delivery: Delivery[Errand], session: Session) -> None: ...


class Callables:
    async def __call__(self, delivery: Any, pipeline: Any) -> None: ...


@pytest.mark.parametrize(
    "function,executor,advice",
    [
        (with_too_many, None, r"called with \(delivery\) or \(delivery, pipeline\): write `def with_too_many"),
        (with_keyword, None, r"called with \(delivery\) or \(delivery, pipeline\)"),
        (of_the_message, None, r"write `errand: Delivery\[Errand\]`; `errand.item` is the message"),
        (of_another_class, None, r"handles Errand: write `delivery: Delivery\[Errand\]`, not of Another"),
        (of_another_class_in_a_process, "process", r"handles Errand: write `delivery: Delivery\[Errand\]`"),
        (with_the_session, None, r"gets the pipeline second: write `session: Pipeline`"),
        (that_yields, None, "without yield"),
        (that_yields_too, None, "without yield"),
        (Callables(), None, "write `async def`"),
        (functools.partial(in_thread), None, "write `async def`"),
        (on_loop, "thread", 'write executor="process"'),
        (async_alone, "process", r"write `def async_alone\(delivery\)`"),
        (in_thread, "process", r"write `def in_thread\(delivery\)`"),
        (lambda delivery: None, "process", "top level of an importable module"),  # noqa: ARG005
    ],
)
def test_what_can_not_be_a_handler_is_refused(function: Callable[..., Any], executor: str | None, advice: str) -> None:
    with pytest.raises(HandlerError, match=advice):
        place_of(function, executor, Errand)


async def alone(delivery: Delivery[Errand]) -> None: ...
def of_any_message(delivery: Delivery[Message]) -> None: ...
def with_default(delivery: Delivery[Any], pipeline: Pipeline | None = None) -> None: ...


def test_a_handler_asks_for_the_pipeline_or_not() -> None:
    assert place_of(alone, None, Errand) == "loop"
    assert place_of(of_any_message, None, Errand) == "thread"
    assert [asks_for_pipeline(each) for each in (alone, of_any_message, on_loop, with_default)] == [
        False, False, True, True,
    ]  # fmt: skip


async def many_on_loop(batch: Batch[Errand], pipeline: Pipeline) -> None: ...
def many_in_thread(batch: Sequence[Any], pipeline: Any) -> None: ...
def many_obey(batch: Batch[Errand]) -> None: ...
async def one_on_loop(delivery: Delivery[Errand], pipeline: Pipeline) -> None: ...
async def that_says_nothing(batch: Any, pipeline: Any) -> None: ...
async def that_takes_none() -> None: ...


def test_a_handler_of_batches_runs_where_others_do() -> None:
    assert place_of(many_on_loop, None, takes_batch=True) == "loop"
    assert place_of(that_says_nothing, None, takes_batch=True) == "loop"
    assert place_of(many_in_thread, None, takes_batch=True) == "thread"
    assert place_of(many_obey, "process", takes_batch=True) == "process"


@pytest.mark.parametrize(
    "function,executor,takes_batch,advice",
    [
        (one_on_loop, None, True, r"is called with a batch: write `delivery: Batch\[...\]`"),
        (many_on_loop, None, False, r"takes a Batch: write `@handles\(..., batch=Gather"),
        (many_obey, "process", False, r"takes a Batch: write `@handles\(..., batch=Gather"),
        (that_takes_none, None, True, r"called with \(batch\) or \(batch, pipeline\)"),
        (with_too_many, None, True, r"called with \(batch\) or \(batch, pipeline\)"),
        (many_in_thread, "process", True, r"called with \(batch\)"),
        (many_on_loop, "process", True, r"write `def many_on_loop\(batch\)`"),
    ],
)
def test_what_can_not_handle_batches_is_refused(
    function: Callable[..., Any],
    executor: str | None,
    takes_batch: bool,  # noqa: FBT001  # a parameter of the test
    advice: str,
) -> None:
    with pytest.raises(HandlerError, match=advice):
        place_of(function, executor, takes_batch=takes_batch)


@pytest.mark.parametrize(
    "most,within,advice",
    [
        (0, 1, "most is"), (-1, 1, "most is"), (1001, 1, "most is"), (True, 1, "most is"), (2.0, 1, "most is"),
        ("3", 1, "most is"), (None, 1, "most is"), (1, 0, "within is"), (1, -0.5, "within is"), (1, "1", "within is"),
        (1, False, "within is"), (1, None, "within is"), (1, math.inf, "within is"), (1, 86401, "within is"),
    ],
)  # fmt: skip
def test_a_gather_out_of_range_is_refused(most: Any, within: Any, advice: str) -> None:
    with pytest.raises(HandlerError, match=rf"Gather\(most=.*{advice}"):
        Gather(most, within)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 100}, {"batch": (100, 0.5)}, {"batch": True},
        {"attempts": 0}, {"attempts": 1000}, {"attempts": True}, {"attempts": 2.0}, {"attempts": "3"},
        {"time_limit": 0}, {"time_limit": -1.0}, {"time_limit": math.inf}, {"time_limit": math.nan}, {"time_limit": True},
        {"time_limit": "5"}, {"time_limit": 86401}, {"backoff": 2.0}, {"backoff": None},
    ],
)  # fmt: skip
def test_rules_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HandlerError, match=f"{next(iter(wrong))}=.*write"):
        handles(Errand, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1}, {"first": math.nan}, {"first": "1"}, {"longest": 0.1}, {"longest": math.inf}, {"factor": 0.5},
        {"factor": True}, {"longest": 10**9}, {"jitter": -0.1}, {"jitter": 1.1}, {"jitter": True},
    ],
)  # fmt: skip
def test_a_backoff_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HandlerError, match=rf"Backoff\({next(iter(wrong))}=.*write"):
        Backoff(**wrong)


@pytest.mark.parametrize(
    "backoff,failures,most",
    [
        (Backoff(jitter=1), 0, 1.0),
        (Backoff(jitter=1), 3, 300.0),
        (Backoff(jitter=1), 998, 300.0),
        (Backoff(first=10, longest=10, jitter=1), 5, 10.0),
        (Backoff(factor=1000, jitter=1), 998, 300.0),
        (Backoff(first=0), 4, 0.0),
    ],
)
def test_with_full_jitter_a_delay_is_anything_between_nothing_and_the_grown_one(
    backoff: Backoff, failures: int, most: float
) -> None:
    delays = [backoff.delay(failures) for _ in range(2000)]
    assert all(0 <= delay <= most for delay in delays)
    # Full jitter: it fills the whole range, so that what failed together does not come together.
    assert min(delays) <= most * 0.02
    assert max(delays) >= most * 0.98


def test_five_attempts_outlast_an_outage_and_do_not_come_together() -> None:
    # About 1, 10, 60 and 300 seconds: a database is back by then, and all four together are over four minutes.
    for failures, (least, most) in enumerate([(0.7, 1.2), (6, 12), (45, 75), (220, 360)]):
        delays = [USUAL_BACKOFF.delay(failures) for _ in range(2000)]
        assert least <= min(delays) <= max(delays) <= most
        assert max(delays) >= 1.2 * min(delays)


@pytest.mark.parametrize("after", [-1, math.nan, math.inf, True, 10**10, "5"])
def test_a_retry_after_what_is_no_delay_is_refused(after: Any) -> None:
    with pytest.raises(ValueError, match="delay"):
        Retry(after=after)


@pytest.mark.parametrize("within", [-1, math.nan, math.inf, True, 10**10, "5"])
def test_a_wait_has_an_end(within: Any) -> None:
    with pytest.raises(ValueError, match="within= is"):
        Retry(after=1, counts=False, within=within)


def test_a_wait_takes_time() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Retry(after=0, counts=False)
    with pytest.raises(ValueError, match="goes with counts=False"):
        Retry(after=1, within=5)
    assert (Retry(after=1, counts=False).within, Retry(after=1).within) == (86400, None)


@pytest.mark.parametrize("reason", ["", "x" * 1001, None, 7])
def test_a_rejection_has_a_reason(reason: Any) -> None:
    with pytest.raises(ValueError, match="a reason is"):
        Reject(reason)


def test_a_plain_function_that_returns_a_coroutine_has_not_done_its_work() -> None:
    @functools.wraps(on_loop)
    def decorated(delivery: Any, pipeline: Any) -> Awaitable[None]:
        return on_loop(delivery, pipeline)

    assert not inspect.iscoroutinefunction(decorated)
    with pytest.raises(TypeError, match="begin it with `async def`"):
        call_plain(decorated, None, None)


def test_an_exception_is_described_whatever_it_is() -> None:
    class Spoilt(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert describe(LookupError("nothing there")) == "LookupError: nothing there"
    assert describe(LookupError()) == "LookupError"
    assert describe(Spoilt()) == "Spoilt: (its text cannot be read)"


def test_the_decorator_gives_the_function_back_and_keeps_its_rules() -> None:
    class Resize(Message):
        width: int

    from consumer.registry import _handlers  # noqa: PLC0415

    try:

        @handles(Resize, attempts=3, backoff=Backoff(first=1), time_limit=5)
        def resize(delivery: Delivery[Resize], pipeline: Pipeline) -> None: ...

        assert inspect.isfunction(resize)
        handler = _handlers[Resize]
        assert (handler.place, handler.name) == ("thread", f"{resize.__module__}:{resize.__qualname__}")
        assert (handler.rules.attempts, handler.rules.backoff.first, handler.rules.time_limit) == (3, 1, 5)
    finally:
        _handlers.pop(Resize, None)
        del Message._classes["Resize"]
