"""What `GET /metrics` counts: requests by route, jobs by status, open event streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Meter:
    """The counters of one application; a process may hold several, so none is global."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "ridgeline_request_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._streams = Gauge("ridgeline_event_streams", "Event streams open now.", registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._seconds.labels(method, route, str(status)).observe(seconds)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """An event stream, for as long as it is open."""
        self._streams.inc()
        try:
            yield
        finally:
            self._streams.dec()

    def count_jobs_by(self, counts: Callable[[], dict[str, int]]) -> None:
        """Ask `counts` for jobs by status whenever the metrics are read."""
        self._registry.register(_Jobs(counts))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Jobs(Collector):
    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        # Registering would otherwise collect, and so open the database before anyone asked.
        return [GaugeMetricFamily("ridgeline_jobs", "Jobs by status.", labels=["status"])]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("ridgeline_jobs", "Jobs by status.", labels=["status"])
        for status, number in self._counts().items():
            family.add_metric([status], number)
        return [family]


class Metered:
    """Observes every request, under its route's template so that ids make no new series."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app = app
        self.meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self.meter.observe(_method(scope), route, status, time.perf_counter() - started)


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH")
    return scope["method"] if scope["method"] in known else "OTHER"
