"""CSV that reads back as it was."""

from __future__ import annotations

import csv
import io
import math

from hypothesis import given
from hypothesis import strategies as st

from api.charts import Curve, to_csv

COLUMN = st.lists(st.none() | st.floats(), min_size=3, max_size=3)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@given(COLUMN, COLUMN)
def test_numbers_read_back_exactly(train: list[float | None], validation: list[float | None]) -> None:
    curve = Curve("job_1", "any", [1, 2, 3], {"train_loss": train, "val_loss": validation})
    rows = read(to_csv([curve]))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in curve.series.items():
        found = [float(row[name]) if row[name] else None for row in rows]
        assert repr(found) == repr(values)


def test_one_job_has_no_column_for_the_job_unless_asked() -> None:
    curve = Curve("job_1", "any", [1], {"val_loss": [math.inf]})
    assert to_csv([curve]) == "epoch,val_loss\n1,inf\n"
    assert to_csv([curve], with_job=True) == "job_id,epoch,val_loss\njob_1,1,inf\n"


def test_several_jobs_are_stacked_with_a_gap_where_one_lacks_a_series() -> None:
    first = Curve("job_1", "=HYPERLINK(1)", [1, 2], {"train_loss": [0.5, math.nan]})
    second = Curve("job_2", "", [1], {"train_loss": [0.25], "val_loss": [0.75]})
    text = to_csv([first, second])
    assert text == "job_id,epoch,train_loss,val_loss\njob_1,1,0.5,\njob_1,2,nan,\njob_2,1,0.25,0.75\n"


def test_no_epochs_and_no_jobs_leave_the_header() -> None:
    assert to_csv([Curve("job_1", "", [], {"val_loss": []})]) == "epoch,val_loss\n"
    assert to_csv([]) == "job_id,epoch\n"
