"""What somebody may have meant: the nearest allowed value, the nearest known name, where a name belongs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from models import allowed
from models.allowed import Node, Place

_COMPARED: Final = 80
"""Longer names are compared by their beginning: likeness costs the product of the lengths."""
_PARTS: Final = 32
_CANDIDATES: Final = 64
"""Names that a misspelt one is compared with in earnest: those with most of its letters and pairs of them."""


def nearest(here: Place, given: Any) -> str | None:
    """What may be written there that is most like what was, as JSON; an example where nothing is like it."""
    for wish in _wishes(given):
        for node in here:
            if (fitting := _fitting(node, wish)) is not None:
                return fitting
    examples = [json.dumps(example) for node in here for example in node.get("examples", ())]
    defaults = [json.dumps(node["default"]) for node in here if node.get("default") is not None]
    return next((value for value in [*examples, *defaults, *map(_example, here)] if value is not None), None)


class Effort:
    """What may still be spent on suggestions in one answer; where nothing is left, they are left out.

    A request can misspell a thousand names of ten thousand, and none of that is worth a second of anybody's.
    """

    def __init__(self, *, names: int = 30_000, comparisons: int = 200) -> None:
        """`names` are known ones looked at, `comparisons` those whose likeness is measured."""
        self.names = names
        self.comparisons = comparisons

    def look_at(self, known: Iterable[str]) -> list[str]:
        """As many of the names as may still be looked at."""
        found = list(islice(known, self.names))
        self.names -= len(found)
        return found

    def compare(self, matcher: SequenceMatcher[str]) -> float:
        """The likeness of the two sequences of a matcher, from 0 to 1; 0 where nothing is left."""
        if not self.comparisons:
            return 0.0
        self.comparisons -= 1
        return matcher.ratio()


def near_name(
    name: str, known: Iterable[str], *, likeness: float = 0.6, effort: Effort | None = None
) -> str | None:
    """The known name that is most like a misspelt one; `lr` and `bs` stand for their words.

    `likeness` is the least that will do, from 0 to 1. None where none is so alike, or `effort` is used up.
    """
    effort = effort or Effort()
    name = name[:_COMPARED].lower()
    names = effort.look_at(known)
    if (same := next((one for one in names if _means(one, name)), None)) is not None:
        return same
    if likeness >= 1:
        return None
    matcher = SequenceMatcher(b=name)
    score, best = max(
        ((_alike(matcher, one, likeness, effort), one) for one in _candidates(name, names, likeness)),
        key=itemgetter(0),
        default=(0.0, ""),
    )
    return best if best and score >= likeness else None


def _means(one: str, name: str) -> bool:
    """Whether a name written in small letters is a known one, or its words' initials."""
    one = one[:_COMPARED]
    if len(one) == len(name):
        return one.lower() == name
    return len(name) > 1 and one[:1] == name[:1] and "".join(word[:1] for word in one.split("_")) == name


def _candidates(name: str, names: list[str], likeness: float) -> list[str]:
    """Those whose lengths allow such a likeness; of many the ones that have most of the name's parts."""
    fitting = [one for one in names if _may_be_alike(len(name), min(len(one), _COMPARED), likeness)]
    if len(fitting) <= _CANDIDATES:
        return fitting
    parts = _parts(name)

    def shared(one: str) -> int:
        return sum(map(one[:_COMPARED].lower().__contains__, parts))

    return nlargest(_CANDIDATES, fitting, key=shared)


def _parts(name: str) -> list[str]:
    """Some letters, pairs and fours of a name: a slip leaves most of them, and chance brings few fours."""
    parts = {name[start : start + length] for length in (1, 2, 4) for start in range(len(name) - length + 1)}
    return sorted(parts, key=len, reverse=True)[:: 1 + len(parts) // _PARTS]


def _may_be_alike(one: int, other: int, likeness: float) -> bool:
    return 2 * min(one, other) >= likeness * (one + other)


def _alike(matcher: SequenceMatcher[str], one: str, likeness: float, effort: Effort) -> float:
    matcher.set_seq1(one[:_COMPARED].lower())
    # The cheap upper bound spares most names the real comparison.
    return effort.compare(matcher) if matcher.quick_ratio() >= likeness else 0.0


def elsewhere(
    schema: Node, here: Place, name: str, *, likeness: float, effort: Effort | None = None
) -> str | None:
    """The dotted path of a field of such a name which lies deeper, or in another part."""
    found_at = [path for path in allowed.paths(schema, here, ()) if path != (name,)]
    found_at = sorted([*found_at, *allowed.paths(schema, [schema], ())], key=len)
    found = {path[-1]: ".".join(path) for path in reversed(found_at)}
    like = near_name(name, [path[-1] for path in found_at], likeness=likeness, effort=effort)
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
