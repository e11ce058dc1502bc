"""JSON merge patches (RFC 7396): how a suggestion is written, and how it becomes a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Patch = dict[str, Any]
Proposed = tuple[str, str, Patch] | None
"""What is changed, why, and the patch; None where there is nothing to change."""


def regularize(**techniques: Any) -> Patch:
    """A patch of the cocktail; None takes a technique out."""
    return {"regularization": techniques}


def rounded(strength: float) -> float:
    """To two digits, so that a patch reads well."""
    return float(f"{strength:.2g}")


def merged(document: Any, patch: Any) -> Any:
    """The document as the patch leaves it; neither is changed.

    An object is merged member by member, null takes a member out, and anything else, lists too, replaces
    what was there.
    """
    if not isinstance(patch, Mapping):
        return patch
    before = document if isinstance(document, Mapping) else {}
    kept = {name: value for name, value in before.items() if name not in patch}
    changed = {name: merged(before.get(name), value) for name, value in patch.items() if value is not None}
    return {**kept, **changed}
