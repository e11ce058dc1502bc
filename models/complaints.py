"""From pydantic's errors to complaints that a person can act on.

Each says where in the *asker's* own document something is wrong, what is allowed there, and what to write.
Pydantic names places in the models it built, which differ from what was written where a shorthand was taken
or a union tried; and it echoes input which may hold what no answer can carry.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from models import allowed, suggestions
from models.errors import Complaint

MOST = 20
"""More than this many complaints help nobody, and a hostile document has a million."""

_SHOWN = 80
_UNPAIRED = ("string_unicode", "invalid_key")
_WRITTEN_AS = {"metric": "monitor"}
"""Fields that a shorthand spells otherwise: `{"monitor": "val_loss"}` is a monitor's `metric`."""

_KINDS = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}

_Error = Mapping[str, Any]
_Path = tuple[str | int, ...]


def complaints(error: ValidationError, model: type[BaseModel], given: object) -> list[Complaint]:
    """One complaint for each place in `given` that is wrong, in the order of the errors."""
    schema = allowed.schema_of(model)
    found: dict[_Path, list[_Error]] = defaultdict(list)
    for one in error.errors(include_url=False)[: 10 * MOST]:
        found[_path(one, given)].append(one)
    kept = {path: errors for path, errors in found.items() if not _overruled(path, errors, found)}
    effort = suggestions.Effort()
    told = [_complaint(schema, path, errors, effort) for path, errors in list(kept.items())[:MOST]]
    if len(kept) > MOST:
        told.append(and_more(error.error_count() - MOST))
    return told


def and_more(more: int) -> Complaint:
    """What is said behind the first `MOST` complaints of so many more."""
    return Complaint("", f"there is more: these are the first {MOST} of {MOST + more} mistakes")


def pointer(path: Sequence[str | int]) -> str:
    """A JSON Pointer (RFC 6901) that any answer can carry, whatever the names in it."""
    return "".join("/" + printable(str(part)).replace("~", "~0").replace("/", "~1") for part in path)


def _path(error: _Error, given: object) -> _Path:
    """Follow an error's location through what was written; what is not there, a shorthand or union made."""
    path: list[str | int] = []
    here, location = given, error["loc"]
    for position, element in enumerate(location):
        written = _WRITTEN_AS.get(str(element), element)
        if isinstance(here, dict) and (element in here or written in here):
            step = element if element in here else written
        elif isinstance(here, list) and isinstance(element, int) and element < len(here):
            step = element
        elif error["type"] == "missing" and position == len(location) - 1:
            step, here = element, None
        else:
            continue
        path.append(step)
        here = here[step] if isinstance(here, dict | list) else None
    return tuple(path)


def _overruled(path: _Path, errors: list[_Error], found: Mapping[_Path, list[_Error]]) -> bool:
    """A union's other branch objects to the kind of a value in whose inside the real mistake lies."""
    deeper = any(len(other) > len(path) and other[: len(path)] == path for other in found)
    return deeper and all(_is_about_kind(error) for error in errors)


def _is_about_kind(error: _Error) -> bool:
    return str(error["type"]).endswith("_type")


def _complaint(
    schema: allowed.Node, path: _Path, errors: list[_Error], effort: suggestions.Effort
) -> Complaint:
    """Of several errors in one place, one from a branch whose kind fits speaks."""
    error = next((one for one in errors if not _is_about_kind(one)), errors[0])
    if error["type"] == "extra_forbidden":
        return _unknown_name(schema, path, error, effort)
    if error["type"] == "value_error":
        return _own_words(path, error)
    if error["type"] in _UNPAIRED:
        return Complaint(pointer(path), "there is an unpaired surrogate in the text, which is no character")
    if error["loc"][-1:] == ("[key]",):
        return _bad_name(schema, path, error)
    here, given = allowed.place(schema, error["loc"]), error.get("input")
    if error["type"] in _UNPAIRED:
        return Complaint(
            pointer(path), f"{_label(path)} contains an unpaired surrogate, which is no character"
        )
    if error["type"] == "missing":
        detail = f"{_label(path)} is required: {allowed.phrase(here)}"
        return Complaint(pointer(path), detail, None, suggestions.nearest(here, None))
    here = here if _is_about_kind(error) else allowed.of_kind(here, given)
    detail = f"{_label(path)} must be {allowed.phrase(here)}, not {said(given)}"
    return Complaint(pointer(path), detail, shown(given), suggestions.nearest(here, given))


def _bad_name(schema: allowed.Node, path: _Path, error: _Error) -> Complaint:
    """Of an object whose names are the asker's own."""
    here = allowed.place(schema, [*error["loc"][:-2], "[key]"])
    detail = f"a name in {_label(path[:-1])} must be {allowed.phrase(here)}, not {said(error.get('input'))}"
    return Complaint(
        pointer(path), detail, shown(error.get("input")), "a shorter name" if path[-1] else "a name"
    )


def _unknown_name(schema: allowed.Node, path: _Path, error: _Error, effort: suggestions.Effort) -> Complaint:
    name, here = str(error["loc"][-1]), allowed.place(schema, error["loc"][:-1])
    known = [one for one in allowed.known_names(here) if one != name]
    suggestion = (
        suggestions.elsewhere(schema, here, name, likeness=1.0, effort=effort)
        or suggestions.near_name(name, known, effort=effort)
        or suggestions.elsewhere(schema, here, name, likeness=0.75, effort=effort)
    )
    place = f" in {_label(path[:-1])}" if len(path) > 1 else ""
    detail = f"there is no field {printable(name)!r}{place}; known are {', '.join(known)}"
    return Complaint(pointer(path), detail, shown(error.get("input")), suggestion)


def _own_words(path: _Path, error: _Error) -> Complaint:
    """A validator of ours has said it; where it lists the choices, the nearest of them is the suggestion."""
    given, detail = error.get("input"), str(error["ctx"]["error"])
    if isinstance(given, str):
        detail = detail.replace(repr(given), repr(printable(given)))
    choices = re.search(r"choose from (.+)$", detail)
    suggestion = None
    if choices and isinstance(given, str):
        suggestion = suggestions.near_name(given, choices[1].split(", "), likeness=0.3)
    return Complaint(pointer(path), detail, shown(given), suggestion)


def _label(path: Sequence[str | int]) -> str:
    """The field's name with the positions behind it: `hidden[1]`."""
    names = [position for position, part in enumerate(path) if isinstance(part, str)]
    if not names:
        return "the document"
    first, *positions = path[names[-1] :]
    return printable(str(first)) + "".join(f"[{position}]" for position in positions)


def said(given: Any) -> str:
    """What was given, in words where it cannot be shown."""
    value = shown(given)
    if value is not None or given is None:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(given, str):
        return f"text of {len(given)} characters"
    if isinstance(given, list | dict):
        words = ("a list", "elements") if isinstance(given, list) else ("an object", "entries")
        return f"{words[0]} of {len(given)} {words[1]}"
    if isinstance(given, int):
        return "a number of more than 64 bits"
    return str(given) if isinstance(given, float) else "a value of another kind"


def shown(given: Any) -> str | int | float | bool | None:
    """What was given, where an answer can carry it and a person would want to read it."""
    if isinstance(given, str):
        return given if len(given) <= _SHOWN and given.isprintable() else None
    if isinstance(given, bool):
        return given
    if isinstance(given, int):
        return given if abs(given) < 2**63 else None
    return given if isinstance(given, float) and math.isfinite(given) else None


def printable(text: str) -> str:
    """Without what UTF-8, a log line or a reader cannot take."""
    safe = "".join(character if character.isprintable() else "\ufffd" for character in text[:_SHOWN])
    return safe if len(text) <= _SHOWN else safe + "…"
