"""Numbers that JSON cannot carry: each becomes null, and a field `nonfinite` beside it says what it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def kind(number: float) -> str | None:
    """`nan`, `inf` or `-inf`; None for a finite number."""
    if math.isfinite(number):
        return None
    if math.isnan(number):
        return "nan"
    return "inf" if number > 0 else "-inf"


def split(values: Mapping[str, float]) -> tuple[dict[str, float | None], dict[str, str]]:
    """Finite numbers, with null where there is none, and the kinds of those."""
    kinds = {name: found for name, value in values.items() if (found := kind(value))}
    return {name: None if name in kinds else value for name, value in values.items()}, kinds


def finite(value: Any) -> Any:
    """JSON without non-finite numbers: `{"loss": nan}` is `{"loss": null, "nonfinite": {"loss": "nan"}}`.

    An item of a list is named by its place: `{"rates": [1, inf]}` gets `{"nonfinite": {"rates/1": "inf"}}`.
    """
    if not isinstance(value, Mapping):
        return value
    kinds: dict[str, str] = {}
    clean = {str(name): _cleaned(item, str(name), kinds) for name, item in value.items()}
    return {**clean, "nonfinite": kinds} if kinds else clean


def _cleaned(item: Any, path: str, kinds: dict[str, str]) -> Any:
    if isinstance(item, float) and (found := kind(item)):
        kinds[path] = found
        return None
    if isinstance(item, list | tuple):
        return [_cleaned(part, f"{path}/{place}", kinds) for place, part in enumerate(item)]
    return finite(item)
