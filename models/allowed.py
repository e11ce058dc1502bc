"""What a place in a JSON Schema allows: in words, as the nearest value, as known names.

A `Place` is the list of schema branches that may hold there, with references and unions opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
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
    here = _opened(schema, [schema])
    for element in location:
        here = _step(schema, here, element) or here
    return here


def phrase(here: Place) -> str:
    """`a number of at least 0 and below 1, or a list`."""
    words = list(dict.fromkeys(_words(node) for node in here))
    return (
        ", or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words) or "left out"
    )


def nearest(here: Place, given: Any) -> str | None:
    """What may be written there that is most like what was, as JSON; an example where nothing is like it."""
    for wish in _wishes(given):
        for node in here:
            if (fitting := _fitting(node, wish)) is not None:
                return fitting
    examples = [json.dumps(example) for node in here for example in node.get("examples", ())]
    defaults = [json.dumps(node["default"]) for node in here if node.get("default") is not None]
    return next((value for value in [*examples, *defaults, *map(_example, here)] if value is not None), None)


def known_names(here: Place) -> list[str]:
    """The fields that an object there may have."""
    return list(dict.fromkeys(name for node in here for name in node.get("properties", ())))


def near_name(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known name that is most like a misspelt one; `lr` and `bs` stand for their words."""
    name = name[:80].lower()

    def alike(one: str) -> float:
        initials = "".join(word[:1] for word in one.split("_"))
        return 1.0 if len(name) > 1 and initials == name else SequenceMatcher(None, name, one.lower()).ratio()

    best = max(known, key=alike, default=None)
    return best if best is not None and alike(best) >= likeness else None


def elsewhere(schema: Node, here: Place, name: str) -> str | None:
    """The dotted path of a field of that name which lies deeper, or in another part."""
    paths = [path for path in _paths(schema, here, ()) if path != (name,)]
    paths = sorted([*paths, *_paths(schema, [schema], ())], key=len)
    found = {path[-1]: ".".join(path) for path in reversed(paths)}
    like = near_name(name, [path[-1] for path in paths], likeness=0.75)
    return None if like is None else found[like]


def of_kind(here: Place, given: Any) -> Place:
    """The branches meant for values of this kind; all of them where there is none."""
    return [node for node in here if _is_kind(node, given)] or here


def _is_kind(node: Node, given: Any) -> bool:
    if isinstance(given, bool):
        return node.get("type") == "boolean"
    return isinstance(given, _PYTHON.get(node.get("type", ""), ()))


def _opened(schema: Node, nodes: Iterable[Node]) -> Place:
    """Concrete branches: references followed, unions spread; a default or example goes to each of them."""
    opened: Place = []
    for node in nodes:
        inherited: Node = {key: node[key] for key in ("default", "examples") if key in node}
        branches = node.get("anyOf", ())
        if "$ref" in node:
            branches = [schema["$defs"][node["$ref"].rsplit("/", 1)[1]]]
        opened += _opened(schema, [{**branch, **inherited} for branch in branches]) if branches else [node]
    return opened


def _step(schema: Node, here: Place, element: str | int) -> Place:
    if isinstance(element, int):
        return _opened(schema, [node["items"] for node in here if "items" in node])
    if element == "[key]":
        return [{"type": "string", **node["propertyNames"]} for node in here if "propertyNames" in node]
    named = [node["properties"][element] for node in here if element in node.get("properties", ())]
    others = [node["additionalProperties"] for node in here if node.get("additionalProperties")]
    return _opened(schema, named or others)


def _paths(schema: Node, here: Place, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every field below, nearest first."""
    below = []
    for node in _opened(schema, here):
        for name, field in node.get("properties", {}).items():
            yield (*above, name)
            below.append((field, (*above, name)))
        if "items" in node:
            below.append((node["items"], above))
    if len(above) < _DEEP:
        for field, path in below:
            yield from _paths(schema, [field], path)


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


def _wishes(given: Any) -> Iterator[Any]:
    """What was given, and what may have been meant: a number in quotes, one value for a list."""
    yield given
    if isinstance(given, str) and len(given) <= 80:
        with suppress(ValueError, RecursionError):
            yield json.loads(given)
            yield [json.loads(given)]
    if not isinstance(given, list | dict) and given is not None:
        yield [given]


def _fitting(node: Node, wish: Any) -> str | None:
    """The value of this branch that is nearest to a wish of its own kind, as JSON."""
    if isinstance(wish, str) and "enum" in node:
        return near_name(wish, node["enum"], likeness=0.0)
    if isinstance(wish, bool):
        return json.dumps(wish) if node.get("type") == "boolean" and node.get("const", wish) == wish else None
    if isinstance(wish, int | float) and node.get("type") in ("number", "integer"):
        return _clamped(node, wish)
    if (
        isinstance(wish, list)
        and len(wish) == 1
        and node.get("type") == "array"
        and node.get("minItems", 0) < 2
    ):
        inner = _fitting(node["items"], wish[0])
        return None if inner is None else f"[{inner}]"
    return None


def _clamped(node: Node, wish: float) -> str | None:
    """The nearest number inside the bounds; just inside of an open one."""
    whole = node["type"] == "integer"
    low, high = _ends(node, whole=whole)
    if isinstance(wish, float) and not math.isfinite(wish):
        return None
    if not low <= wish <= high:
        wish = low if wish < low else high
    if not -(2**63) <= wish < 2**63:
        return None
    value = round(wish) if whole else wish
    return json.dumps(int(value) if float(value).is_integer() else value)


def _ends(node: Node, *, whole: bool) -> tuple[float, float]:
    low, high = node.get("minimum", -math.inf), node.get("maximum", math.inf)
    if "exclusiveMinimum" in node:
        low = node["exclusiveMinimum"] + (1 if whole else 0.001)
    if "exclusiveMaximum" in node:
        high = node["exclusiveMaximum"] - (1 if whole else 0.1)
    return low, high


def _example(node: Node) -> str | None:
    """A value of this branch; objects with fields that must be named make a poor one."""
    if node.get("type") in ("number", "integer"):
        return _clamped(node, 1 if node["type"] == "integer" else 0.1)
    plain = {"boolean": "true", "array": "[]", "object": "{}"}
    return None if "required" in node or "minItems" in node else plain.get(node.get("type", ""))
