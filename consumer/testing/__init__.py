"""For unit tests of handlers, without a server: deliveries, a pipeline that records, and whole chains."""

from consumer.testing.deliveries import batch_of, delivery_of, effects_of, failures_of
from consumer.testing.fakes import FakePipeline, FakeQueue, Put
from consumer.testing.inline import Died, Handled, InlineRun, run_inline

__all__ = [
    "Died", "FakePipeline", "FakeQueue", "Handled", "InlineRun", "Put", "batch_of", "delivery_of", "effects_of", "failures_of",
    "run_inline",
]  # fmt: skip
