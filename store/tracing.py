"""Traces, where somebody asked for them: a request and the job that came of it are one trace.

OpenTelemetry is loaded only where an endpoint is set, and then whatever it lacks or cannot reach costs a line
in the log and nothing else: no request and no job fails for want of its trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger(__name__)


class Span:
    """Something that took time. Where nothing is traced it takes its attributes and forgets them."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def say(self, **attributes: str | int) -> None:
        """Note something about it."""
        if self._span is not None:
            self._span.set_attributes({f"ridgeline.{name}": value for name, value in attributes.items()})


class Tracing:
    """Sends the spans of one process to an OTLP endpoint; to nowhere where none is set."""

    def __init__(self, endpoint: str, process: str) -> None:
        self.provider = _provider(endpoint, process) if endpoint else None

    def traceparent(self) -> str | None:
        """The present span in W3C's words, for whoever continues the trace elsewhere."""
        if self.provider is None:
            return None
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent")

    @contextmanager
    def span(self, name: str, *, parent: str | None, **attributes: str | int) -> Iterator[Span]:
        """A span that continues the trace of `parent`, or begins one."""
        if self.provider is None:
            yield Span()
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": parent or ""})
        tracer = self.provider.get_tracer("ridgeline")
        # What an exception says may hold a secret; logs have it, without.
        with tracer.start_as_current_span(
            name,
            context=context,
            kind=SpanKind.CONSUMER,
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            span = Span(started)
            span.say(**attributes)
            yield span

    def close(self) -> None:
        """Send what still waits."""
        if self.provider is not None:
            self.provider.shutdown()


def _provider(endpoint: str, process: str) -> TracerProvider | None:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("traces were asked for; install ridgeline[otel]", reason=str(error))
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": process}), shutdown_on_exit=False)
    address = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=5)))
    return provider
