"""What a service does when PIPELINE_METRICS_PORT is set."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, ProcessCollector

from shared.concurrency import Queue
from shared.concurrency.session.session import process_of
from shared.health.vitals import Vitals
from shared.message import Message
from shared.metrics.endpoint import Endpoint
from shared.metrics.service_collector import ServiceCollector
from shared.pipeline import Pipeline


def serving(pipeline: Pipeline, queues: Sequence[Queue[Message]], vitals: Vitals, port: int) -> Endpoint:
    """Measure from here on; the endpoint answers inside its block.

    :raises SettingsError: when the port cannot be opened.
    """
    # One of its own: a second service in this process, as tests have it, must not meet the names of the first.
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(ServiceCollector(pipeline.session, queues))
    endpoint = Endpoint(port, registry, {"/livez": vitals.dead, "/readyz": vitals.unready})
    process_of(pipeline.session).tally.measure()
    return endpoint
