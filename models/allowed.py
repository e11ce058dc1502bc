"""What a place in a JSON Schema allows, in words, and the names that are known there.

A `Place` is the list of schema branches that may hold there, with references and unions opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

Node = dict[str, Any]
Place = list[Node]

_DEEP = 8


@cache
def schema_of(model: type[BaseModel]) -> Node:
    return model.model_json_schema()


def place(schema: Node, location: Sequence[str | int]) -> Place:
    """Where an error's location leads; the names that pydantic gives to branches of unions lead nowhere."""
    here = opened(schema, [schema])
    for element in location:
        here = _step(schema, here, element) or here
    return here


def phrase(here: Place) -> str:
    """`a number of at least 0 and below 1, or a list`."""
    words = list(dict.fromkeys(_words(node) for node in here))
    return (
        ", or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words) or "left out"
    )


def known_names(here: Place) -> list[str]:
    """The fields that an object there may have."""
    return list(dict.fromkeys(name for node in here for name in node.get("properties", ())))


def of_kind(here: Place, given: Any) -> Place:
    """The branches meant for values of this kind; all of them where there is none."""
    return [node for node in here if _is_kind(node, given)] or here


def _is_kind(node: Node, given: Any) -> bool:
    if isinstance(given, bool):
        return node.get("type") == "boolean"
    return isinstance(given, _PYTHON.get(node.get("type", ""), ()))


def opened(schema: Node, nodes: Iterable[Node]) -> Place:
    """Concrete branches: references followed, unions spread; a default or example goes to each of them."""
    spread: Place = []
    for node in nodes:
        inherited: Node = {key: node[key] for key in ("default", "examples") if key in node}
        branches = node.get("anyOf", ())
        if "$ref" in node:
            branches = [schema["$defs"][node["$ref"].rsplit("/", 1)[1]]]
        spread += opened(schema, [{**branch, **inherited} for branch in branches]) if branches else [node]
    return spread


def _step(schema: Node, here: Place, element: str | int) -> Place:
    if isinstance(element, int):
        return opened(schema, [node["items"] for node in here if "items" in node])
    if element == "[key]":
        return [{"type": "string", **node["propertyNames"]} for node in here if "propertyNames" in node]
    named = [node["properties"][element] for node in here if element in node.get("properties", ())]
    others = [node["additionalProperties"] for node in here if node.get("additionalProperties")]
    return opened(schema, named or others)


def paths(schema: Node, here: Place, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every field below, nearest first."""
    below = []
    for node in opened(schema, here):
        for name, field in node.get("properties", {}).items():
            yield (*above, name)
            below.append((field, (*above, name)))
        if "items" in node:
            below.append((node["items"], above))
    if len(above) < _DEEP:
        for field, path in below:
            yield from paths(schema, [field], path)


def _words(node: Node) -> str:
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if "const" in node:
        return json.dumps(node["const"])
    return _KINDS[node.get("type", "object")](node)


def _number(node: Node) -> str:
    noun = "a whole number" if node["type"] == "integer" else "a number"
    if "minimum" in node and "maximum" in node:
        return f"{noun} from {_bound(node['minimum'])} to {_bound(node['maximum'])}"
    limits = [f"{word} {_bound(node[key])}" for key, word in _LIMITS.items() if key in node]
    return f"{noun} {' and '.join(limits)}" if limits else noun


def _bound(value: float) -> str:
    if abs(value) == 2**63:
        return "2^63" if value > 0 else "-2^63"
    return str(int(value)) if float(value).is_integer() else str(value)


def _object(node: Node) -> str:
    if "properties" in node:
        return f"an object ({', '.join(node['properties'])})"
    return f"an object{_size(node, 'Properties', 'entries')}"


def _size(node: Node, of: str, nouns: str) -> str:
    least, most = node.get(f"min{of}", 0), node.get(f"max{of}")
    if most is None:
        return f" of at least {least} {nouns}" if least else ""
    if not least:
        return f" of at most {most} {nouns}"
    return f" of {least} to {most} {nouns}" if least != most else f" of {most} {nouns}"


def _boolean(_: Node) -> str:
    return "true or false"


def _null(_: Node) -> str:
    return "null"


_KINDS: dict[str, Callable[[Node], str]] = {
    "number": _number,
    "integer": _number,
    "string": lambda node: "text" + _size(node, "Length", "characters"),
    "array": lambda node: "a list" + _size(node, "Items", "elements"),
    "object": _object,
    "boolean": _boolean,
    "null": _null,
}

_PYTHON: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}

_LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
