"""What the framework finds wrong with a path, a query or a header, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.errors import Complaint


def parameter_complaint(error: Mapping[str, Any]) -> Complaint:
    """FastAPI's error about a parameter in our words; bounds and choices become suggestions."""
    given, context = error.get("input"), error.get("ctx", {})
    name, said = str(error["loc"][-1]), str(error["msg"]).removeprefix("Value error, ")
    detail = f"{name}: {said[:1].lower()}{said[1:]}"
    bounds = (context[bound] for bound in ("le", "ge", "expected") if bound in context)
    pointer = "/" + "/".join(str(part) for part in error["loc"])
    return Complaint(
        pointer, detail, given if isinstance(given, str) and len(given) <= 80 else None, _words(*bounds)
    )


def _words(value: object = None, *_: object) -> str | None:
    return None if value is None else str(value)
