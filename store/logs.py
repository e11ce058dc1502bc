"""Logging for every process: one JSON object a line on standard error, and no secret in any of them.

What is bound to the context (`request_id`, `job_id`) is on every line that is written while it is bound.
Keys, secrets and the passwords in URLs are struck out last of all, so that it does not matter who logged
them: an event's value, a library's message, a traceback.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor

STRUCK: Final = "***"

_SECRETS: Final = (
    # A URL's password, and a user name alone that may be a token. Up to the last `@`, for people leave `@`
    # and `/` in passwords unescaped.
    (re.compile(r"(?<=://)[^\s\"'<>]+(?=@)"), STRUCK),
    (re.compile(r"\brl_([A-Za-z0-9]+)_[A-Za-z0-9_-]+"), rf"rl_\1_{STRUCK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{STRUCK}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {STRUCK}"),
    # `password=…` in a connection string, `X-Amz-Signature=…` in a signed address, `'secret': '…'` in a repr.
    (
        re.compile(
            r"(?i)([\w-]*(?:password|passwd|secret|token|signature|credential|api[_-]?key)[\w-]*"
            r"[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;)}\]]+"
        ),
        rf"\1{STRUCK}",
    ),
)
_HINT: Final = re.compile(
    r"(?i)://|rl_|whsec_|bearer|basic|password|passwd|secret|token|signature|credential|api[_-]?key"
)
"""What every text has that holds a secret of these kinds. Most have none of it, and this is quick to see."""
_TELLING_NAME: Final = re.compile(
    r"(?i)(?:^|_)(password|passwd|secret|token|authorization|credentials?|api_?key|cookie)$"
)


def configure(level: str = "info", *, quieted: Sequence[str] = ()) -> None:
    """Set up structlog and the standard library's logging for this process.

    Loggers that are `quieted` say only what is at least a warning.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_line],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in quieted:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def without_secrets(text: str) -> str:
    """Text with every key, secret and password of a URL struck out."""
    if not _HINT.search(text):
        return text
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _as_line(_: object, __: str, event: EventDict) -> str:
    clean = _struck(event)
    try:
        return orjson.dumps(clean, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # An unpaired surrogate in somebody's text: escaped, so that the line is not lost.
        return json.dumps(clean)


def _struck(value: Any, name: str = "") -> Any:
    """A value as JSON has it, without secrets; what JSON does not know is written as Python would."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _TELLING_NAME.search(name):
        return STRUCK
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _struck(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_struck(each) for each in value]
    return without_secrets(value if isinstance(value, str) else repr(value))
