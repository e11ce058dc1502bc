"""Curves as CSV: one row an epoch, numbers that read back exactly, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TextIO

from api.charts.curve import Curve
from api.spreadsheets import as_cells


def to_csv(curves: Sequence[Curve], *, with_job: bool | None = None) -> str:
    """`epoch,train_loss,…`, and before it `job_id` where there are several curves (or `with_job` says so).

    What was not recorded is empty; non-finite numbers are `nan`, `inf` and `-inf`. Jobs are told apart by
    their ids, never by their names, which anybody may have chosen to look like a formula.
    """
    with_job = len(curves) != 1 if with_job is None else with_job
    names = list(dict.fromkeys(name for curve in curves for name in curve.series))
    text = io.StringIO()
    write_csv(text, curves, names, with_job=with_job)
    return text.getvalue()


def write_csv(text: TextIO, pieces: Iterable[Curve], names: Sequence[str], *, with_job: bool) -> None:
    """Write curves that come in pieces of some epochs, as `to_csv` does; `names` are all their series."""
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(["job_id"] if with_job else []), "epoch", *as_cells(names)])
    for curve in pieces:
        nothing: list[float | None] = [None] * len(curve.epochs)
        columns = [curve.series.get(name, nothing) for name in names]
        ids = [[curve.job_id] * len(curve.epochs)] if with_job else []
        writer.writerows(zip(*ids, curve.epochs, *columns, strict=True))
