"""Jobs sorted by what came of them: every page of every order, narrowed or not, against the sorted whole."""

from __future__ import annotations

import base64
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from store import jobs, scores, tables, usage
from store.errors import BadCursor
from store.jobs import Filters, Job, candidates, ranking
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases
from tests.store import filling
from tests.store.examples import add_dataset, add_job, claim, elsewhere, running

NUMBER: Final = 36
SORTS: Final = (
    "val_loss",
    "val_roc_auc",
    "test_accuracy",
    "gap",
    "duration",
    "best_epoch",
    "parameters",
    "name",
)


def _result(drawn: random.Random, n: int) -> dict[str, Any] | None:
    """Ties, nulls, numbers that are none, and now and then no result at all."""
    if n % 9 == 4:
        return None
    loss = drawn.choice([0.5, 0.25, 0.125, -0.0, 0.0, 1e300, 1e-300, float("nan"), float("inf")])
    train = {"loss": drawn.choice([0.5, 0.25]), "accuracy": drawn.choice([0.5, 0.75, 1])}
    return {
        "best_epoch": drawn.choice([1, 2, 3, None]),
        "last_epoch": 3,
        "restored_epoch": 2,
        "parameters": drawn.choice([17, 4810]),
        "train": train,
        "validation": {"loss": loss, "loss_se": 0.1}
        | ({"roc_auc": drawn.choice([0.5, 0.75])} if n % 3 else {}),
        "test": {"loss": 0.5, "accuracy": drawn.random()} if n % 4 else None,
        "generalization_gap": loss - train["loss"] if n % 5 else None,
    }


def _fill(database: Database) -> None:
    """Jobs on two datasets, named or not, ended in three ways or not at all."""
    drawn = random.Random(7)
    with database.writing() as tx:
        datasets = [add_dataset(tx, name=name).id for name in ("digits", "wine")]
    names = (None, "credit-a", "credit-b", "Credit-c", "cred", "crédit", "credit-a", "übung", "credit*")
    for n in range(NUMBER):
        add_job(
            database,
            dataset_id=datasets[n % 3 == 0],
            name=names[n % len(names)],
            study_id=f"study_{n % 4}",
            metadata={"team": ("risk", "fraud")[n % 2], "even": n % 2 == 0, "n": n},
        )
    for n in range(NUMBER - 5):
        job, result = claim(database), _result(drawn, n)
        with database.writing() as tx:
            if n % 7 == 5:
                jobs.request_cancel(tx, job.id)
                assert jobs.cancelled(tx, job.id, job.fence, result=result)
            elif result is None or n % 7 == 3:
                assert jobs.fail(tx, job.id, job.fence, stop_reason="diverged", result=result)
            else:
                assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result=result)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, migrated_sqlite: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        path = migrated_sqlite.with_name("ranking.db")
        shutil.copyfile(migrated_sqlite, path)
        with Database(f"sqlite:///{path}") as database:
            _fill(database.of(DEFAULT_PROJECT))
            yield database.of(DEFAULT_PROJECT)
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh() as url, Database(url) as database:
            _fill(database.of(DEFAULT_PROJECT))
            yield database.of(DEFAULT_PROJECT)


@pytest.fixture(scope="module")
def every(full: Database) -> list[Job]:
    """All jobs, the oldest first."""
    with full.reading() as tx:
        return jobs.page(tx, sort="created_at", limit=200).rows


@pytest.fixture(params=["gathered", "glimpsed", "sieved"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """However few or many jobs there are, the lists are made in this way."""
    if request.param != "gathered":
        monkeypatch.setattr(candidates, "MOST", 0)
        monkeypatch.setattr(candidates, "_FEW", 0)
        monkeypatch.setattr(ranking, "_GLIMPSED", NUMBER if request.param == "glimpsed" else 1)
    return str(request.param)


def value_of(job: Job, key: str) -> Any:
    """What a job shows of itself under a key; None where that is nothing to sort by."""
    if key == "name":
        return job.name
    if key == "duration":
        return scores.duration_of(job.started_at, job.finished_at)
    result = job.result or {}
    if key in ("gap", "best_epoch", "parameters"):
        return result.get({"gap": "generalization_gap"}.get(key, key))
    split, _, name = key.partition("_")
    return (result.get({"val": "validation"}.get(split, split)) or {}).get(name)


def in_order(found: list[Job], sort: str) -> list[str]:
    """The whole list as it must be, by Python's own sorting."""
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    having = [job for job in found if value_of(job, key) is not None]
    lacking = [job for job in found if value_of(job, key) is None]
    having.sort(key=lambda job: (value_of(job, key), job.created_at, job.id), reverse=descending)
    lacking.sort(key=lambda job: (job.created_at, job.id), reverse=True)
    return [job.id for job in having + lacking]


def paged(database: Database, filters: Filters, sort: str, limit: int) -> list[str]:
    """Every page, one behind the other."""
    found: list[str] = []
    cursor = None
    with database.reading() as tx:
        while True:
            page = jobs.page(tx, filters, sort=sort, limit=limit, cursor=cursor)
            found += [job.id for job in page.rows]
            if page.next is None:
                return found
            assert len(page.rows) == limit
            cursor = page.next


FILTERS: dict[str, tuple[Filters, Callable[[Job], bool]]] = {
    "nothing": (Filters(), lambda job: True),
    "status": (Filters(status=["succeeded"]), lambda job: job.status == "succeeded"),
    "statuses": (Filters(status=["failed", "queued"]), lambda job: job.status in ("failed", "queued")),
    "reason": (Filters(stop_reason=["diverged"]), lambda job: job.stop_reason == "diverged"),
    "dataset": (Filters(dataset="wine"), lambda job: job.dataset_name == "wine"),
    "no such dataset": (Filters(dataset="iris"), lambda job: False),
    "study": (Filters(study="study_1"), lambda job: job.study_id == "study_1"),
    "name": (Filters(name="credit-a"), lambda job: job.name == "credit-a"),
    "names": (Filters(name="credit*"), lambda job: (job.name or "").startswith("credit")),
    "any name": (Filters(name="*"), lambda job: job.name is not None),
    "a star": (Filters(name="credit\\*"), lambda job: job.name == "credit*"),
    "label": (Filters(metadata={"team": "risk"}), lambda job: job.metadata["team"] == "risk"),
    "labels": (
        Filters(metadata={"team": "risk", "even": "true", "n": "8"}),
        lambda job: job.metadata["n"] == 8,
    ),
    "labels that exclude each other": (
        Filters(metadata={"team": "risk", "even": "false"}),
        lambda job: False,
    ),
    "several": (
        Filters(dataset="digits", status=["succeeded"], metadata={"even": "true"}, name="c*"),
        lambda job: (
            (job.dataset_name, job.status, job.metadata["even"]) == ("digits", "succeeded", True)
            and (job.name or "").startswith("c")
        ),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_all_pages_are_the_sorted_whole(full: Database, every: list[Job], way: str, name: str) -> None:
    filters, leaves = FILTERS[name]
    left = [job for job in every if leaves(job)]
    assert left or name in ("no such dataset", "labels that exclude each other")
    for sort in ("val_loss", "-val_roc_auc", "name"):
        assert paged(full, filters, sort, 7) == in_order(left, sort), sort
    age = [job.id for job in left]
    assert (paged(full, filters, "created_at", 4), paged(full, filters, "-created_at", 4)) == (age, age[::-1])


@pytest.mark.parametrize("limit", [1, 5, NUMBER])
@pytest.mark.parametrize("key", SORTS)
def test_every_key_in_both_directions(full: Database, every: list[Job], key: str, limit: int) -> None:
    for sort in (key, f"-{key}"):
        assert paged(full, Filters(), sort, limit) == in_order(every, sort)


def test_moments_narrow_a_sorted_list(full: Database, every: list[Job], way: str) -> None:
    after, before = every[4].created_at, every[20].created_at
    filters = Filters(created_after=after, created_before=before)
    left = [job for job in every if after < job.created_at < before]
    assert paged(full, filters, "-val_loss", 4) == in_order(left, "-val_loss")


def test_too_many_shapes_are_gone_around(
    full: Database, every: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "_MOST_SHAPES", 1)
    assert paged(full, Filters(), "val_roc_auc", 5) == in_order(every, "val_roc_auc")


def test_a_cursor_belongs_to_its_sort(full: Database) -> None:
    with full.reading() as tx:
        cursors = {
            sort: jobs.page(tx, sort=sort, limit=3).next for sort in ("val_loss", "-val_loss", "name", "gap")
        }
        cursors["-created_at"] = jobs.page(tx, limit=3).next
        late = jobs.page(tx, sort="val_loss", limit=NUMBER - 1).next
        for of, cursor in {**cursors, "late": late}.items():
            for sort in ("val_loss", "-val_loss", "name", "gap", "-created_at"):
                if sort != of and not (of == "late" and sort == "val_loss"):
                    with pytest.raises(BadCursor):
                        jobs.page(tx, sort=sort, cursor=cursor)


MADE_UP: Final = (
    *('["val_loss",0,1e999,"job_a"]', '["val_loss",0,null,"job_a"]', '["val_loss",0,0.5]', "[]", "1"),
    *('["val_loss",1,1e30,"job_a"]', '["val_loss",1,99999999999999999999,"j"]', '["val_loss",2,0,"j"]'),
    *('["val_loss",0,"x","job_a"]', '["val_loss",true,1,"job_a"]', '{"val_loss":0}', '"val_loss"'),
    '["val_loss",0,0.5,"\\u0000"]',
)


@pytest.mark.parametrize("made_up", MADE_UP)
def test_a_made_up_cursor_is_refused(full: Database, made_up: str) -> None:
    cursor = base64.urlsafe_b64encode(made_up.encode()).decode().rstrip("=")
    with full.reading() as tx, pytest.raises(BadCursor):
        jobs.page(tx, sort="val_loss", cursor=cursor)


def test_a_cursor_of_a_deleted_job_still_leads_on(database: Database) -> None:
    ended = [running(database) for _ in range(4)]
    with database.writing() as tx:
        for place, job in enumerate(ended):
            jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={"parameters": place})
        page = jobs.page(tx, sort="parameters", limit=2)
        jobs.delete(tx, ended[1].id)
        rest = jobs.page(tx, sort="parameters", cursor=page.next).rows
    assert [job.id for job in rest] == [job.id for job in ended[2:]]


def test_another_projects_jobs_are_not_there(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={"parameters": 3})
        mine = tx.execute(sa.select(tables.jobs.c.study_id, tables.jobs.c.dataset_id)).one()
        for filters in (Filters(), Filters(dataset=mine.dataset_id), Filters(status=["succeeded"])):
            for sort in ("parameters", "val_loss", "name"):
                assert [one.id for one in jobs.page(tx, filters, sort=sort).rows] == [job.id]
                with elsewhere(tx):
                    assert jobs.page(tx, filters, sort=sort).rows == []


def test_what_an_upgrade_finds_is_what_an_end_writes(full: Database) -> None:
    """The numbers, the shapes and what they count as, taken out of the results once more by the migration."""
    with full.writing() as tx:
        written = _numbers_and_shapes(tx)
        assert len({shape for shape, _ in written[1].values()}) > 3
        tx.execute(tables.scores.delete())
        tx.execute(tables.jobs.update().values(shape=None))
        filling.add_scores(tx)
        found = _numbers_and_shapes(tx)
    assert found[1] == written[1]
    assert found[0].keys() == written[0].keys()
    for place, value in written[0].items():
        # The database's clock tells microseconds, or milliseconds, and its rounding may differ by one.
        assert found[0][place] == pytest.approx(value, rel=1e-15, abs=0.0011 if place[1] == "duration" else 0)


def _numbers_and_shapes(tx: Any) -> tuple[dict[tuple[str, str], float], dict[str, Any]]:
    numbers = {(row.job_id, row.name): row.value for row in tx.execute(sa.select(tables.scores))}
    rows = tx.execute(sa.select(tables.jobs.c.id, tables.jobs.c.shape))
    names: dict[str, set[str]] = {}
    for job_id, name in numbers:
        names.setdefault(job_id, set()).add(name)
    return numbers, {row.id: (row.shape, frozenset(names.get(row.id, ()))) for row in rows}


def test_jobs_have_one_shape_where_they_have_the_same_numbers(full: Database) -> None:
    with full.reading() as tx:
        found = set(_numbers_and_shapes(tx)[1].values())
    assert len({shape for shape, _ in found}) == len({names for _, names in found}) == len(found)
    assert all(shape == (scores.shape_of(names) if names else None) for shape, names in found)


def test_numbers_go_with_their_job_and_count_as_its(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        before = usage.of(tx, job.project_id).stored_bytes
        jobs.succeed(
            tx, job.id, job.fence, stop_reason="max_epochs", result={"parameters": 3, "best_epoch": 1}
        )
        assert usage.of(tx, job.project_id).stored_bytes > before + 3 * 300
    with database.writing() as tx:
        assert not usage.has_drifted(tx)
        jobs.delete(tx, job.id)
        assert tx.execute(sa.select(tables.scores)).all() == []
    with database.reading() as tx:
        assert not usage.has_drifted(tx)


def test_a_stale_worker_writes_no_number(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert not jobs.succeed(tx, job.id, job.fence - 1, stop_reason="max_epochs", result={"parameters": 3})
        assert tx.execute(sa.select(tables.scores)).all() == []


def test_only_finite_numbers_count() -> None:
    result = {
        "best_epoch": None,
        "parameters": True,
        "generalization_gap": float("nan"),
        "train": {"loss": 1, "loss_se": 0.5, "nonfinite": {"f1": "nan"}, "f1": None, "x" * 101: 0.5},
        "validation": "none",
        "test": {"loss": 10**400, "accuracy": float("-inf")},
    }
    assert scores.numbers_in(result) == {"train_loss": 1.0}
    assert scores.numbers_in(None) == scores.numbers_in({}) == {}
