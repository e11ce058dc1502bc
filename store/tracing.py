"""Traces, where somebody asked for them: a request and the job that came of it are one trace.

OpenTelemetry is loaded only where an endpoint is set, and then whatever it lacks or cannot reach costs a line
in the log and nothing else: no request and no job fails for want of its trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger(__name__)


class Span:
    """Something that took time. Where nothing is traced it takes its attributes and forgets them."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end(self) -> None:
        """It is over; several that overlap may end in any order."""
        if self._span is not None:
            self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

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

    def span(self, name: str, *, parent: str | None, **attributes: str | int) -> Span:
        """A span that continues the trace of `parent`, or begins one; it lasts until its `end`."""
        if self.provider is None:
            return Span()
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": parent or ""})
        tracer = self.provider.get_tracer("ridgeline")
        span = Span(tracer.start_span(name, context=context, kind=SpanKind.CONSUMER))
        span.say(**attributes)
        return span

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
        log.warning(
            "traces were asked for, and the extra `otel` is not installed",
            reason=str(error),
            install="in a checkout: pip install -c constraints.txt -e '.[otel]'",
        )
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": process}), shutdown_on_exit=False)
    address = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=5)))
    return provider
