"""From the body of a request for predictions to its answer, in JSON or as CSV: no row becomes a model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import orjson

from api import bodies
from api.errors import InvalidInputError, MalformedRequestError
from api.networks import Ready, memory_is_an_outage
from api.spreadsheets import as_cell
from models.complaints import pointer, printable
from models.datasets.rows import Rows
from models.errors import Complaint, Notice
from store import nonfinite

if TYPE_CHECKING:
    from models.prediction import Predictions

JSON: Final = "application/json"
CSV: Final = "text/csv"
NOTICE: Final = "Ridgeline-Notice"
"""The header that tells a notice beside an answer in CSV."""
NOTICE_BYTES: Final = 2_000
"""Of all such headers of an answer together: proxies take few and short ones."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Predictions as they are sent, and what to know about them."""

    content: bytes
    notices: list[Notice]
    """In JSON they are part of the content, too."""


def answered(ready: Ready, job_id: str, content: bytes, *, sent: str, wanted: str) -> Answered:
    """The predictions for a body of media type `sent`, written as `wanted`.

    `RowsError` where the rows are not the network's, `WeightsError` where it cannot be run,
    `UnavailableError` where memory does not suffice.
    """
    with memory_is_an_outage():
        rows = ready.reader.delimited(content) if sent == CSV else ready.reader.objects(_rows(content))
        return Answered((_as_csv if wanted == CSV else _as_json)(ready, job_id, rows), rows.notices)


def as_headers(notices: Sequence[Notice]) -> list[str]:
    """Notices as values of headers, each JSON in ASCII; as many from the first on as proxies bear."""
    values = [json.dumps({"pointer": notice.pointer, "detail": notice.detail}) for notice in notices]
    ends = accumulate(map(len, values))
    return [value for value, end in zip(values, ends, strict=True) if end <= NOTICE_BYTES]


def most_rows(content: bytes, sent: str) -> int:
    """At least as many as a body of media type `sent` has rows, seen without reading it."""
    return content.count(b"\n") + content.count(b"\r") + 1 if sent == CSV else content.count(b"{")


def _rows(content: bytes) -> Any:
    """What `rows` is in a JSON body that has nothing else."""
    given = bodies.parse_json(content)
    if not isinstance(given, dict):
        raise MalformedRequestError('the body must be an object, `{"rows": [{column: value}]}`')
    strange = next((name for name in given if name != "rows"), None)
    if strange is not None:
        detail = f"there is no field {printable(strange)!r}; there is rows"
        raise InvalidInputError(errors=[Complaint(pointer([strange]), detail, suggestion="rows")])
    if "rows" not in given:
        raise InvalidInputError(errors=[Complaint("/rows", "rows is missing; it is a list of objects")])
    return given["rows"]


def _as_json(ready: Ready, job_id: str, rows: Rows) -> bytes:
    about = ready.predictor.about.description
    classes = None if about.classes is None else [one.label for one in about.classes]
    document = {
        "job_id": job_id,
        "task": about.task,
        "target": about.target.name,
        "classes": classes,
        "predictions": _written(ready.predictor.predict(rows.columns), classes) if rows.count else [],
        "notices": [{"pointer": each.pointer, "detail": each.detail} for each in rows.notices],
    }
    # Single precision is written with as many digits as it has.
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _written(found: Predictions, classes: list[str] | None) -> list[dict[str, Any]]:
    if not found.is_finite:
        return list(_broken(found, classes))
    if classes is None or found.labels is None:
        return [{"value": value} for value in found.numbers.tolist()]
    told = zip(found.labels, found.numbers, strict=True)
    return [
        {"label": label, "probabilities": dict(zip(classes, chances, strict=True))} for label, chances in told
    ]


def _broken(found: Predictions, classes: list[str] | None) -> Iterator[dict[str, Any]]:
    """What a network says that diverged: what is no number is null, and beside it which kind it was."""
    for place, numbers in enumerate(found.numbers.tolist()):
        values = {"value": numbers} if classes is None else dict(zip(classes, numbers, strict=True))
        clean, kinds = nonfinite.split(values)
        told = {"nonfinite": kinds} if kinds else {}
        if classes is None or found.labels is None:
            yield {**clean, **told}
        else:
            yield {"label": None if kinds else found.labels[place], "probabilities": clean, **told}


def _as_csv(ready: Ready, _: str, rows: Rows) -> bytes:
    """`value`; or `label` and a `probability of …` each class. What is no number is `nan`, `inf`, `-inf`.

    Labels are text that anybody may have written, and are made harmless for spreadsheets.
    """
    classes = [one.label for one in ready.predictor.about.description.classes or ()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", *(f"probability of {each}" for each in classes)] if classes else ["value"])
    if rows.count:
        found = ready.predictor.predict(rows.columns)
        if found.labels is None:
            writer.writerows([value] for value in found.numbers.tolist())
        else:
            cells = {label: as_cell(label) for label in classes}
            labels = [cells[label] for label in found.labels]
            lines = zip(labels, found.numbers.astype(str).tolist(), strict=True)
            writer.writerows(["" if "nan" in told else label, *told] for label, told in lines)
    return text.getvalue().encode()
