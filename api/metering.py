"""What `GET /metrics` tells: what this process answers, and how the whole service stands.

The first is counted here as it happens. The second is read from the database whenever somebody asks, so it is
the same whichever process is asked, and costs nothing while nobody does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import told
from store.gauges import Gauges

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
        self._problems = Counter(
            "ridgeline_problems",
            "Requests answered with a problem document, by its type; database-unavailable among them.",
            ("type",),
            registry=self._registry,
        )
        self._streams = Gauge("ridgeline_event_streams", "Event streams open now.", registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._seconds.labels(method, route, str(status)).observe(seconds)

    def count_problem(self, kind: str) -> None:
        """Count one request that could not be carried out."""
        self._problems.labels(kind).inc()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """An event stream, for as long as it is open."""
        self._streams.inc()
        try:
            yield
        finally:
            self._streams.dec()

    def look_by(self, look: Callable[[], Gauges | None]) -> None:
        """Ask `look` how things stand whenever the metrics are read; None while the database is away."""
        self._registry.register(_Standing(look))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Standing(Collector):
    """The whole service, as the database knows it."""

    def __init__(self, look: Callable[[], Gauges | None]) -> None:
        self._look = look

    def describe(self) -> Iterable[Metric]:
        # Registering would otherwise collect, and so open the database before anyone asked.
        return []

    def collect(self) -> Iterable[Metric]:
        now = self._look()
        yield _gauge("ridgeline_database_up", "Whether the database answered just now.", now is not None)
        if now is None:
            return
        yield _gauge("ridgeline_jobs", "Jobs that have not ended, by status.", now.unfinished, "status")
        yield _gauge(
            "ridgeline_queue_jobs",
            "Jobs that are due and wait for a worker, by queue.",
            {queue: waiting.jobs for queue, waiting in now.waiting.items()},
            "queue",
        )
        yield _gauge(
            "ridgeline_queue_oldest_seconds",
            "For how long the job that waits longest has been due, by queue.",
            {queue: waiting.oldest_seconds for queue, waiting in now.waiting.items()},
            "queue",
        )
        ended = GaugeMetricFamily(
            "ridgeline_jobs_ended",
            "Jobs that ended in the last five minutes, by status and stop reason.",
            labels=["status", "stop_reason"],
        )
        for how, number in now.ended.items():
            ended.add_metric(how, number)
        yield ended
        yield _gauge("ridgeline_epochs_per_second", "Of all running jobs together.", now.epochs_per_second)
        yield _gauge("ridgeline_workers", "Worker processes heard of lately.", now.workers, "state")
        yield _gauge(
            "ridgeline_deliveries", "Webhook deliveries that wait or were given up.", now.deliveries, "status"
        )
        yield _gauge(
            "ridgeline_delivery_oldest_seconds",
            "For how long the most overdue delivery has been due.",
            now.oldest_delivery_seconds,
        )
        yield from _counted(now.counted)


def _counted(counts: dict[str, int]) -> Iterator[Metric]:
    """What the other processes counted in the database; `reconciler.requeued` is one of several actions."""
    actions = CounterMetricFamily(
        "ridgeline_reconciler_actions", "What the reconcilers did, by action.", labels=["action"]
    )
    for name, number in counts.items():
        group, dot, action = name.partition(".")
        if dot and group == "reconciler":
            actions.add_metric([action], number)
    lost = counts.get("attempts_lost", 0)
    yield CounterMetricFamily("ridgeline_attempts_lost", "Attempts whose worker went quiet.", value=lost)
    yield actions


def _gauge(name: str, about: str, value: Mapping[str, float] | float, label: str = "") -> Metric:
    if not isinstance(value, Mapping):
        return GaugeMetricFamily(name, about, value=value)
    family = GaugeMetricFamily(name, about, labels=[label])
    for each, number in value.items():
        family.add_metric([each], number)
    return family


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
        except BaseException:
            self.meter.count_problem("internal")
            raise
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self.meter.observe(_method(scope), route, status, time.perf_counter() - started)
            if kind := told(scope):
                self.meter.count_problem(kind)


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH")
    return scope["method"] if scope["method"] in known else "OTHER"
