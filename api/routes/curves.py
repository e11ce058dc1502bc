"""Learning curves: of one job, or of several laid over each other, as data, picture or text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from api.charts import Curve
from api.deps import CallerDep, Server, ServerDep
from api.drawing import MEDIA_TYPES, Format, Look, answer_of, chosen_format, csv_of, curve_of, drawn, thinned
from api.errors import InvalidInputError
from api.outgoing import PiecewiseRoute
from api.paging import Number
from api.problems import documented
from api.schemas import CurveAnswer, Overlay
from models.errors import Complaint
from models.metrics import METRICS
from models.suggestions import near_name
from store import curves, jobs
from store.curves import Packed
from store.jobs import Job
from store.session import Connection

router = APIRouter(tags=["curves"], route_class=PiecewiseRoute)

ALWAYS: Final = (
    *("objective", "train_loss", "val_loss", "penalty_l1", "penalty_l2"),
    *("learning_rate", "weight_norm", "sparsity", "epoch_seconds"),
)
"""Series that every job records; a job's metrics come on top, as `train_<metric>` and `val_<metric>`."""

MOST_OVERLAID: Final = 20
MOST_NUMBERS: Final = 2_000_000
"""Of all curves in one answer together: more are thinned, or refused where the form is not thinned."""

Names = Annotated[
    str, Query(min_length=1, max_length=4000, description="Series, with commas: `val_loss,train_loss`.")
]
MaxPoints = Annotated[
    int | None, Query(ge=2, le=10_000_000, description="Thin the curve to at most so many epochs.")
]
Columns = Annotated[int, Query(ge=40, le=400, description="`txt` only: columns of the terminal.")]
Lines = Annotated[int, Query(ge=12, le=400, description="`txt` only: lines of the terminal.")]


def _forms(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What a route says of its answer in each of the forms."""
    # JSON comes first, where whoever generates a client looks for the answer's type.
    content = {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}
    content |= {"application/json": {}, "image/png": {"schema": {"type": "string", "format": "binary"}}}
    description = "The curve, in the form that `format` or `Accept` asks for."
    return {200: {"model": model, "description": description, "content": content}}


@router.get(
    "/v1/jobs/{job_id}/curves",
    response_model=CurveAnswer,
    responses=documented() | _forms(CurveAnswer),
    response_class=Response,
)
async def read_curve(
    request: Request,
    job_id: str,
    caller: CallerDep,
    server: ServerDep,
    series: Names | None = None,
    after: Number = 0,
    max_points: MaxPoints = None,
    format: Format | None = None,  # noqa: A002 - the contract's word
    width: Columns = 80,
    height: Lines = 24,
    color: bool = False,
) -> Response:
    """A job's learning curve behind epoch `after`."""
    form = chosen_format(request.headers.get("accept", ""), format)
    names = _names(series)
    look = Look(width, height, color)

    def read() -> Response:
        with caller.database.reading() as tx:
            stored = _Stored.read(tx, job_id, names, after)
        if form == "json":
            return _json(stored.answer(_points(server, max_points)))
        return _written([stored], names, form, look)

    async with server.outgoing.turns:
        return await run_in_threadpool(read)


@router.get(
    "/v1/curves", response_model=Overlay, responses=documented() | _forms(Overlay), response_class=Response
)
async def overlay_curves(
    request: Request,
    caller: CallerDep,
    server: ServerDep,
    jobs: Annotated[str, Query(min_length=1, max_length=4000, description="Ids, with commas between.")],
    series: Names = "val_loss",
    after: Number = 0,
    max_points: MaxPoints = None,
    format: Format | None = None,  # noqa: A002
    width: Columns = 80,
    height: Lines = 24,
    color: bool = False,
) -> Response:
    """Several jobs' curves, laid over each other."""
    form = chosen_format(request.headers.get("accept", ""), format)
    names = _names(series)
    look, chosen = Look(width, height, color), _ids(jobs)

    def read() -> Response:
        with caller.database.reading() as tx:
            found = [_Stored.read(tx, job_id, names, after) for job_id in chosen]
        if form != "json":
            return _written(found, names, form, look)
        points = min(_points(server, max_points), _share(found))
        return _json(Overlay(curves=[each.answer(points) for each in found]))

    async with server.outgoing.turns:
        return await run_in_threadpool(read)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A job with its curve behind some epoch, before it is known which form is wanted."""

    job: Job
    packed: Packed

    @classmethod
    def read(cls, tx: Connection, job_id: str, names: list[str] | None, after: int) -> Self:
        return cls(jobs.get(tx, job_id), curves.packed(tx, job_id, after=after, series=names))

    def answer(self, max_points: int) -> CurveAnswer:
        return answer_of(self.job, self.packed, max_points, whole=self._is_whole)

    def curve(self, most: int) -> Curve:
        return curve_of(self.job, thinned(self.job, self.packed, most), whole=self._is_whole)

    @property
    def _is_whole(self) -> bool:
        return self.packed.first == 1


def _names(series: str | None) -> list[str] | None:
    """The series asked for, each of which some job might have."""
    if series is None:
        return None
    names = [name.strip() for name in series.split(",")]
    known = [*ALWAYS, *(f"{split}_{metric}" for metric in METRICS for split in ("train", "val"))]
    for name in names:
        if name not in known:
            detail = f"there is no series {name[:80]!r}; there are {', '.join(known)}"
            raise InvalidInputError(
                errors=[Complaint("/query/series", detail, name[:80], near_name(name, known))]
            )
    return list(dict.fromkeys(names))


def _ids(word: str) -> list[str]:
    ids = list(dict.fromkeys(part.strip() for part in word.split(",")))
    if len(ids) > MOST_OVERLAID:
        detail = f"at most {MOST_OVERLAID} jobs can be laid over each other, and these are {len(ids)}"
        raise InvalidInputError(errors=[Complaint("/query/jobs", detail)])
    return ids


def _points(server: Server, asked: int | None) -> int:
    return min(asked or server.settings.max_points, server.settings.max_points)


def _share(found: Sequence[_Stored]) -> int:
    """Epochs that each of some curves may have in one answer."""
    return max(2, MOST_NUMBERS // max(1, sum(len(each.packed.series) for each in found)))


def _written(found: Sequence[_Stored], names: list[str] | None, form: Format, look: Look) -> Response:
    if form != "csv":
        share = _share(found)
        return _picture(drawn([each.curve(share) for each in found], names, form, look), form)
    numbers = sum(each.packed.length * len(each.packed.series) for each in found)
    if len(found) > 1 and numbers > MOST_NUMBERS:
        detail = (
            f"CSV is not thinned, and takes {MOST_NUMBERS:,} numbers of several jobs; these are {numbers:,}"
        )
        raise InvalidInputError(errors=[Complaint("/query/jobs", detail, suggestion="fewer jobs, or series")])
    return _picture(csv_of([(each.job, each.packed) for each in found]), form)


def _json(answer: CurveAnswer | Overlay) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


def _picture(content: bytes, form: Format) -> Response:
    # An SVG that is opened by itself is a document, and styles itself.
    policy = (
        {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"} if form == "svg" else {}
    )
    return Response(content, media_type=MEDIA_TYPES[form], headers={"Vary": "Accept", **policy})
