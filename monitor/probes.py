"""Probes: what the monitor answers to Prometheus, to an orchestrator, and to `--check`."""

import asyncio
import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.feed import Feed
from monitor.gauges import QueueGauges
from monitor.snapshot import Snapshot
from shared.concurrency.session.clock import boottime
from shared.version import VERSION

LONGEST: Final = 10.0
"""Seconds without a new snapshot after which the monitor is not well; one is taken each second."""


class Probes(Collector):
    """Says whether there is something to show. An outage of the server makes the monitor unready, not dead."""

    def __init__(self, feed: Feed, stopping: asyncio.Event) -> None:
        """`stopping`: set once the service ends."""
        self._feed: Final = feed
        self._stopping: Final = stopping
        self._began: Final = boottime()
        # One of its own: a second service in this process, as tests have it, must not meet the names of the first.
        self._registry: Final = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)
        self._registry.register(QueueGauges(self._current))

    def routes(self) -> list[Route]:
        """What other programs ask for."""
        return [Route("/metrics", self._metrics), Route("/livez", self._alive), Route("/readyz", self._ready)]

    def problem(self) -> str:
        """Why there is nothing new to show; an empty answer says that there is."""
        if self._feed.trouble is not None:
            return f"there is no new snapshot: {self._feed.trouble.text}"
        idle = boottime() - (self._began if self._feed.seen_at is None else self._feed.seen_at)
        return f"there is no new snapshot since {idle:.0f} s" if idle > LONGEST else ""

    def collect(self) -> Iterator[Metric]:
        """Return what is known of the monitor itself."""
        up = int(self._current() is not None)
        yield GaugeMetricFamily("weir_connection_up", "1 while the server answers with snapshots.", value=up)
        info = GaugeMetricFamily("weir_build_info", "1; what runs.", labels=["version", "python"])
        info.add_metric([VERSION, platform.python_version()], 1)
        yield info

    def _current(self) -> Snapshot | None:
        return None if self.problem() else self._feed.latest

    async def _metrics(self, request: Request) -> Response:
        encoder, kind = choose_encoder(request.headers.get("Accept", ""))
        return Response(encoder(self._registry), headers={"Content-Type": kind})

    async def _alive(self, _: Request) -> Response:
        """The loop turns: that it answers is the answer."""
        return PlainTextResponse("ok\n")

    async def _ready(self, _: Request) -> Response:
        problem = "it is stopping" if self._stopping.is_set() else self.problem()
        if not problem and self._feed.latest is None:
            problem = "there is no snapshot yet"
        return PlainTextResponse(f"{problem or 'ok'}\n", status_code=503 if problem else 200)
