"""Logging: one JSON object a line on standard error, Celery's lines among them.

`job_id` and `request_id` are bound once for a job and are then on every line that is written while it runs.
"""

from __future__ import annotations

import json
import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]

_CHATTY = ("celery.worker.strategy", "celery.app.trace")
"""Say of every nudge that it came and went; what counts is what became of jobs."""


def configure(level: str = "info") -> None:
    """Set up structlog and the standard library's logging for this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_line],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _as_line(_: object, __: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # An unpaired surrogate in somebody's text: escaped, so that the line is not lost.
        return json.dumps(event, default=repr)
