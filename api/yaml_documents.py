"""YAML as people write specs in it: plain data in YAML 1.2's core schema, and nothing else.

The parser's events are read one at a time instead of composed by PyYAML, for three reasons: nesting is
bounded before anything recurses, aliases (and so "billion laughs") and tags do not exist, and scalars mean
what they mean in JSON. PyYAML's own YAML 1.1 reads `1e-5` as text, `no` as false and `1:30` as 90.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from api.errors import MalformedRequestError

DEEPEST = 100

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


def parse(content: bytes) -> Any:
    """The one document of a YAML body."""
    try:
        text = content.decode("utf-8-sig")
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _document(events)
    except UnicodeDecodeError:
        raise MalformedRequestError("the body is not UTF-8") from None
    except yaml.YAMLError as error:
        raise MalformedRequestError(f"the body is not YAML: {_said(error)}") from None


def _document(events: Iterator[yaml.Event]) -> Any:
    skipped = (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
    wanted = (event for event in events if not isinstance(event, skipped))
    first = next(wanted)
    if isinstance(first, yaml.StreamEndEvent):
        raise MalformedRequestError("the body is empty; send a YAML mapping")
    value = _value(first, wanted, 0)
    if not isinstance(next(wanted), yaml.StreamEndEvent):
        raise MalformedRequestError("send one YAML document, not several")
    return value


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Any:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise MalformedRequestError(f"anchors and aliases are not taken{_at(event)}; write it out")
    if getattr(event, "tag", None):
        raise MalformedRequestError(f"tags are not taken{_at(event)}; leave it out")
    if depth > DEEPEST:
        raise MalformedRequestError(f"nested deeper than {DEEPEST}{_at(event)}")
    if isinstance(event, yaml.SequenceStartEvent):
        return [_value(item, events, depth + 1) for item in _until(yaml.SequenceEndEvent, events)]
    if isinstance(event, yaml.MappingStartEvent):
        return _mapping(events, depth + 1)
    if not isinstance(event, yaml.ScalarEvent):
        raise MalformedRequestError(f"this is no value{_at(event)}")
    return event.value if event.style else _plain(event.value)


def _until(end: type[yaml.Event], events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    for event in events:
        if isinstance(event, end):
            return
        yield event


def _mapping(events: Iterator[yaml.Event], depth: int) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for event in _until(yaml.MappingEndEvent, events):
        key = event.value if isinstance(event, yaml.ScalarEvent) else None
        if key is None or key in mapping:
            raise MalformedRequestError(f"keys are text, each given once{_at(event)}")
        mapping[key] = _value(next(events), events, depth)
    return mapping


def _plain(text: str) -> Any:
    """An unquoted scalar by the core schema."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _at(event: yaml.Event) -> str:
    mark = event.start_mark
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def _said(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())[:300]
