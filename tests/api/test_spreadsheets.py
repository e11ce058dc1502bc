"""CSV answers hold nothing that a spreadsheet would run, and everything that was there."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.charts import Curve, to_csv
from api.deps import Server
from api.spreadsheets import as_cell, original
from models.datasets.inference import table
from tests.api.trained import trained

RUN = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "'=1",
    "＝1+1",
    "-",
    "+",
]
HARMLESS = ["setosa", "-1", "+1", "-1.5", "+.5e3", "1e-9", "a=b", "'quoted'", "", "3 - 2", "−1", "nan"]


@pytest.mark.parametrize("text", RUN)
def test_what_would_be_run_begins_with_an_apostrophe(text: str) -> None:
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_would_not_be_stays_and_numbers_stay_numbers(text: str) -> None:
    assert as_cell(text) == text


@given(st.text(alphabet="'=+-@\t\r 1a.e＝") | st.text())
def test_it_can_be_undone(text: str) -> None:
    assert original(as_cell(text)) == text
    assert original(as_cell(as_cell(text))) == as_cell(text)


def test_labels_in_csv_are_harmless_and_in_json_as_they_are(
    client: TestClient, server: Server, tmp_path: Path
) -> None:
    labels = ["=1+1", "@home"]
    frame = pl.DataFrame({"x": [float(n) for n in range(80)], "target": labels * 40})
    data = table(frame, target="target", task=None, notes=[])
    job = trained(client, server, tmp_path, table=data, name="run")
    rows = {"rows": [{"x": float(n)} for n in range(-200, 200)]}
    said = client.post(f"/v1/jobs/{job}/predict", json=rows).json()
    assert said["classes"] == sorted(labels)
    found = [one["label"] for one in said["predictions"]]
    answer = client.post(f"/v1/jobs/{job}/predict", json=rows, headers={"Accept": "text/csv"})
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["label"] for line in lines] == [as_cell(label) for label in found]
    assert all(line["label"].startswith("'") for line in lines)
    assert list(lines[0])[1:] == [f"probability of {label}" for label in sorted(labels)]
    assert [float(line["probability of =1+1"]) for line in lines] == [
        pytest.approx(one["probabilities"]["=1+1"], abs=1e-6) for one in said["predictions"]
    ]


def test_names_of_series_in_csv_are_harmless() -> None:
    (head, row) = csv.reader(io.StringIO(to_csv([Curve("job_1", "=1+1", [1], {"=cmd()": [-1.5]})])))
    assert head == ["epoch", "'=cmd()"]
    assert row == ["1", "-1.5"]
