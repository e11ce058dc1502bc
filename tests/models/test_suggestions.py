"""Suggestions: the name that was meant, and what it may cost to find it."""

from __future__ import annotations

import random
from difflib import SequenceMatcher
from typing import Any

import pytest
from pydantic import ValidationError

from models import suggestions
from models.complaints import MOST, complaints
from models.datasets import Column, Description
from models.datasets.rows import Reader
from models.defaults import complete
from models.errors import RowsError, SpecError
from models.spec import JobSpec
from models.suggestions import Effort, near_name

COLUMNS = 10_000


def _wide(length: int) -> Description:
    """Names of equal length from few letters: every one is as likely as any other."""
    letters = random.Random(1)
    names = ["".join(letters.choices("abcdef", k=length)) for _ in range(COLUMNS)]
    about: dict[str, Any] = {"kind": "numeric", "missing": 0, "cardinality": 99, "constant": False}
    return Description(
        rows=100,
        columns=[Column(name=name, **about) for name in names],
        target=Column(name="target", **about),
        task="regression",
        task_reason="the test says so",
        classes=None,
        notes=[],
    )


@pytest.fixture(scope="module")
def wide() -> Description:
    return _wide(80)


class Counted(SequenceMatcher[str]):
    """Counts how often names are really compared."""

    compared = 0

    def ratio(self) -> float:
        Counted.compared += 1
        return super().ratio()

    def quick_ratio(self) -> float:
        Counted.compared += 1
        return super().quick_ratio()


@pytest.fixture(autouse=True)
def comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "SequenceMatcher", Counted)
    Counted.compared = 0


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("petal lenght (cm)", "petal length (cm)"),
        ("Petal Width (CM)", "petal width (cm)"),
        ("sepal_length", "sepal length (cm)"),
        ("lr", "learning_rate"),
        ("bs", "batch_size"),
        ("learningrate", "learning_rate"),
        ("nothing of it", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("others", [0, 5_000])
def test_a_misspelt_name_hears_what_was_meant_among_few_and_many(
    name: str, meant: str | None, others: int
) -> None:
    known = [f"{part} {measure} (cm)" for part in ("sepal", "petal") for measure in ("length", "width")]
    known += ["learning_rate", "batch_size", *(f"sensor_{number}_mean" for number in range(others))]
    assert near_name(name, known) == meant


def test_of_ten_thousand_names_few_are_compared(wide: Description) -> None:
    names = [column.name for column in wide.columns]
    for place in (3, 5_000, 9_999):
        Counted.compared = 0
        assert near_name(names[place][:-3] + "xyz", names) == names[place]
        assert Counted.compared <= 130


def test_suggestions_end_where_their_effort_does() -> None:
    names = [f"column_{number:05d}" for number in range(COLUMNS)]
    effort = Effort()
    found = [near_name(f"column_{number:05d}x", names, effort=effort) for number in range(20)]
    assert found[:2] == names[:2]
    assert found[-1] is None
    assert effort.names == 0
    assert Counted.compared < 1_000


def test_a_thousand_misspelt_columns_of_a_spec_are_told_with_few_comparisons(wide: Description) -> None:
    weights = {column.name[:-1] + "z": 1.0 for column in wide.columns[:1_000]}
    penalty = {"strength": 0.1, "feature_weights": weights}
    document = {
        "dataset": "wide",
        "network": {"hidden": []},
        "regularization": {"l1": penalty, "l2": penalty},
    }
    with pytest.raises(SpecError) as refused:
        complete(JobSpec.model_validate(document), wide)
    told = refused.value.complaints
    assert len(told) == MOST + 1
    assert told[0].suggestion == wide.columns[0].name
    assert told[-1].detail == f"there is more: these are the first {MOST} of 2000 mistakes"
    assert Counted.compared <= 500


def test_a_misspelt_split_column_is_told_with_few_comparisons(wide: Description) -> None:
    document = {"dataset": "wide", "split": {"column": wide.columns[7].name[:-1] + "z"}}
    with pytest.raises(SpecError) as refused:
        complete(JobSpec.model_validate(document), wide)
    assert refused.value.complaints[0].suggestion == wide.columns[7].name
    assert Counted.compared <= 130


@pytest.mark.parametrize("form", ["objects", "delimited"])
def test_misspelt_columns_of_rows_are_told_with_few_comparisons(wide: Description, form: str) -> None:
    reader = Reader(wide, [c.name for c in wide.columns], {}, most_rows=100, most_cells=1_000_000)
    row = {column.name[:-1] + "z": 1 for column in wide.columns[:1_000]}
    lines = [",".join(row), ",".join("1" for _ in row)]
    with pytest.raises(RowsError) as refused:
        reader.objects([row] * 10) if form == "objects" else reader.delimited("\n".join(lines).encode())
    assert len(refused.value.complaints) <= MOST + 2
    assert refused.value.complaints[0].suggestion == wide.columns[0].name
    assert Counted.compared <= 500


def test_a_spec_of_unknown_fields_is_told_with_few_comparisons() -> None:
    document = {"dataset": "digits", **{f"optimiser{number}": 1 for number in range(1_000)}}
    with pytest.raises(ValidationError) as refused:
        JobSpec.model_validate(document)
    told = complaints(refused.value, JobSpec, document)
    assert told[0].suggestion == "optimizer"
    assert Counted.compared <= 3_000
