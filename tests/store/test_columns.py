"""What no database can hold is refused in one clear voice, and what both can comes back unchanged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from store import curves, jobs, nonfinite
from store.columns import now, printable
from store.errors import UnstorableValue
from store.jobs import Filters
from store.session import Connection, Database
from tests.store.examples import add_dataset, add_job, look, running, snapshot

NESTED: list[Any] = []
for _ in range(150):
    NESTED = [NESTED]

BAD: dict[str, tuple[Any, str]] = {
    "NUL": ("a\x00b", "NUL"),
    "lone surrogate": ("a\ud800b", "surrogates"),
    "2^63": (2**63, "64 bits"),
    "below -2^63": (-(2**63) - 1, "64 bits"),
    "10^30": (10**30, "64 bits"),
    "NaN": (float("nan"), "finite"),
    "infinity": (float("inf"), "finite"),
    "deep nesting": (NESTED, "nested"),
    "an object": (object(), "cannot be stored"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: [1, bad], lambda bad: {"deep": [{"er": bad}]}])
def test_specs_and_labels_that_cannot_be_stored(
    database: Database, name: str, wrap: Callable[[Any], Any]
) -> None:
    bad, reason = BAD[name]
    for changes in ({"spec": {"value": wrap(bad)}}, {"metadata": {"value": wrap(bad)}}):
        with pytest.raises(UnstorableValue, match=reason):
            add_job(database, **changes)
    assert {name for name, rows in snapshot(database).items() if rows} == {"projects"}


@pytest.mark.parametrize("name", ["NUL", "lone surrogate"])
def test_keys_that_cannot_be_stored(database: Database, name: str) -> None:
    with pytest.raises(UnstorableValue):
        add_job(database, metadata={BAD[name][0]: 1})


@pytest.mark.parametrize("name", ["NUL", "lone surrogate"])
def test_text_that_cannot_be_stored(database: Database, name: str) -> None:
    bad, reason = BAD[name]
    writes: list[Callable[[Connection], object]] = [
        lambda tx: add_dataset(tx, name=bad),
        lambda tx: add_dataset(tx, target=bad),
        lambda tx: jobs.add(tx, spec={}, dataset_id="ds_1", max_epochs=1, request_id=bad),
        lambda tx: jobs.page(tx, Filters(name=bad)),
        lambda tx: jobs.page(tx, Filters(dataset=bad)),
        lambda tx: jobs.page(tx, Filters(study=bad)),
        lambda tx: jobs.page(tx, Filters(status=[bad])),
    ]
    for write in writes:
        with pytest.raises(UnstorableValue, match=reason), database.writing() as tx:
            write(tx)


def test_labels_that_cannot_be_stored_are_found_nowhere(database: Database) -> None:
    add_job(database, metadata={"team": "risk"})
    with database.reading() as tx:
        for bad in ("a\x00b", "a\ud800b", "x" * 100_000):
            assert jobs.page(tx, Filters(metadata={"team": bad})).rows == []
            assert jobs.page(tx, Filters(metadata={bad: "risk"})).rows == []


@pytest.mark.parametrize("priority", [2**63, -(2**63) - 1])
def test_whole_numbers_that_do_not_fit(database: Database, priority: int) -> None:
    with pytest.raises(UnstorableValue, match="64 bits"):
        add_job(database, priority=priority)


def test_text_that_is_too_long(database: Database) -> None:
    with pytest.raises(UnstorableValue, match="limited to 200 characters, and this has 201"):
        add_job(database, name="x" * 201)
    assert add_job(database, name="ä" * 200).name == "ä" * 200


def test_a_rate_must_be_finite(database: Database) -> None:
    job = running(database)
    with pytest.raises(UnstorableValue), database.writing() as tx:
        curves.record(tx, job.id, job.fence, [curves.Point(1, {"loss": 1.0})], epochs_per_second=float("inf"))


GOOD = {
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "float": 0.1,
    "large float": 1e300,
    "tiny": 5e-324,
    "whole float": 3.0,
    "text": "größe 😀 \u2028 \\ \" ' %s :name ?",
    "order": {"z": 1, "a": [True, None, {}, []]},
    "empty": "",
}


def test_what_can_be_stored_comes_back_unchanged(database: Database) -> None:
    job = add_job(database, spec=GOOD, metadata=GOOD)
    found = look(database, job)
    assert found.spec == found.metadata == GOOD
    assert list(found.spec) == list(GOOD)
    assert [type(value) for value in found.spec.values()] == [type(value) for value in GOOD.values()]


def test_a_missing_value_is_null_and_not_the_word(database: Database) -> None:
    add_job(database)
    with database.reading() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM jobs WHERE result IS NULL")).scalar() == 1


def test_the_databases_clock(database: Database) -> None:
    with database.reading() as tx:
        present, later, earlier = tx.execute(sa.select(now(), now(90.5), now(-0.25))).one()
    assert present.tzinfo == UTC
    assert abs(datetime.now(UTC) - present) < timedelta(seconds=60)
    assert (later - present).total_seconds() == pytest.approx(90.5, abs=0.002)
    assert (earlier - present).total_seconds() == pytest.approx(-0.25, abs=0.002)


def test_times_keep_their_moment_in_any_zone(database: Database) -> None:
    job = add_job(database)
    elsewhere = timezone(timedelta(hours=-9, minutes=-30))
    before = (job.created_at - timedelta(seconds=1)).astimezone(elsewhere)
    after = (job.created_at + timedelta(seconds=1)).astimezone(elsewhere)
    with database.reading() as tx:
        assert jobs.page(tx, Filters(created_after=before, created_before=after)).rows == [job]
        assert jobs.page(tx, Filters(created_after=after)).rows == []


def test_printable_text_is_storable(database: Database) -> None:
    said = printable("a\x00b\ud800c" + "ä" * 300, 200)
    assert said is not None
    assert len(said) == 200
    assert said.endswith("…")
    assert add_job(database, name=said).name == said
    assert printable(None, 10) is None
    assert printable("0123456789", 10) == "0123456789"


def test_numbers_that_json_cannot_carry_say_what_they_were() -> None:
    nan, inf = float("nan"), float("inf")
    assert nonfinite.finite({"a": 1, "b": {"c": nan}, "d": [1.0, [-inf]], "e": [{"f": inf}]}) == {
        "a": 1,
        "b": {"c": None, "nonfinite": {"c": "nan"}},
        "d": [1.0, [None]],
        "e": [{"f": None, "nonfinite": {"f": "inf"}}],
        "nonfinite": {"d/1/0": "-inf"},
    }
    assert nonfinite.finite(None) is None
