"""What somebody may have meant: the nearest allowed value, the nearest known name, where a name belongs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from operator import itemgetter
from typing import Any

from models import allowed
from models.allowed import Node, Place

_COMPARED = 80
"""Longer names are compared by their beginning: likeness costs the product of the lengths."""


def nearest(here: Place, given: Any) -> str | None:
    """What may be written there that is most like what was, as JSON; an example where nothing is like it."""
    for wish in _wishes(given):
        for node in here:
            if (fitting := _fitting(node, wish)) is not None:
                return fitting
    examples = [json.dumps(example) for node in here for example in node.get("examples", ())]
    defaults = [json.dumps(node["default"]) for node in here if node.get("default") is not None]
    return next((value for value in [*examples, *defaults, *map(_example, here)] if value is not None), None)


def near_name(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known name that is most like a misspelt one; `lr` and `bs` stand for their words."""
    name = name[:_COMPARED].lower()
    matcher = SequenceMatcher(b=name)

    def alike(one: str) -> float:
        one = one[:_COMPARED]
        initials = "".join(word[:1] for word in one.split("_"))
        if one.lower() == name or (len(name) > 1 and initials == name):
            return 1.0
        matcher.set_seq1(one.lower())
        # The cheap upper bounds spare most names the real comparison.
        likely = matcher.real_quick_ratio() >= likeness and matcher.quick_ratio() >= likeness
        return matcher.ratio() if likely else 0.0

    score, best = max(((alike(one), one) for one in known), key=itemgetter(0), default=(0.0, ""))
    return best if best and score >= likeness else None


def elsewhere(schema: Node, here: Place, name: str, *, likeness: float) -> str | None:
    """The dotted path of a field of such a name which lies deeper, or in another part."""
    found_at = [path for path in allowed.paths(schema, here, ()) if path != (name,)]
    found_at = sorted([*found_at, *allowed.paths(schema, [schema], ())], key=len)
    found = {path[-1]: ".".join(path) for path in reversed(found_at)}
    like = near_name(name, [path[-1] for path in found_at], likeness=likeness)
    return None if like is None else found[like]


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
    """The nearest number inside the bounds; from outside an open bound the example, or one well inside."""
    whole = node["type"] == "integer"
    if isinstance(wish, float) and not math.isfinite(wish):
        return None
    low, high = node.get("minimum", -math.inf), node.get("maximum", math.inf)
    above, below = node.get("exclusiveMinimum", -math.inf), node.get("exclusiveMaximum", math.inf)
    if not above < wish < below:
        if "examples" in node:
            return json.dumps(node["examples"][0])
        wish = above + (1 if whole else 0.001) if wish <= above else below - (1 if whole else 0.1)
    elif not low <= wish <= high:
        wish = low if wish < low else high
    if not -(2**63) <= wish < 2**63:
        return None
    value = round(wish) if whole else wish
    return json.dumps(int(value) if float(value).is_integer() else value)


def _example(node: Node) -> str | None:
    """A value of this branch; objects with fields that must be named make a poor one."""
    if node.get("type") in ("number", "integer"):
        return _clamped(node, 1 if node["type"] == "integer" else 0.1)
    plain = {"boolean": "true", "array": "[]", "object": "{}"}
    return None if "required" in node or "minItems" in node else plain.get(node.get("type", ""))
