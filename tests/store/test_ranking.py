"""Jobs sorted by what came of them: every order, filter and page, against the whole list sorted in Python."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from store import jobs, usage
from store.errors import BadCursor
from store.jobs import Filters, Job, candidates
from store.scores import numbers_in
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases
from tests.store.examples import add_dataset, add_job, claim, look

NUMBER = 48
LOSSES = (0.5, 0.25, 0.25, 1e-300, -3.0, 1e12, None)
NAMES = ("credit", "credit-1", "credit-10", "creditor", "Credit", "čredit", "a*", "a*b", None)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, migrated_sqlite: Path) -> Iterator[Database]:
    """A database of this module's own, on which its tests only look."""
    if request.param == "sqlite":
        path = migrated_sqlite.with_name("ranked.db")
        shutil.copyfile(migrated_sqlite, path)
        with Database(f"sqlite:///{path}") as database:
            yield database.of(DEFAULT_PROJECT)
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh() as url, Database(url) as database:
            yield database.of(DEFAULT_PROJECT)


@pytest.fixture(scope="module")
def ranked(full: Database) -> list[Job]:
    """Jobs of all kinds, oldest first: with equal, missing and extreme numbers, and some that never began."""
    draw = random.Random(0)
    with full.writing() as tx:
        datasets = [add_dataset(tx, name=name).id for name in ("digits", "wine")]
    added = [
        add_job(
            full,
            dataset_id=datasets[n % 2],
            name=NAMES[n % len(NAMES)],
            metadata={"team": ("risk", "fraud")[n % 2], "rare": n == 5, "third": n % 3},
        )
        for n in range(NUMBER)
    ]
    for n in range(NUMBER * 3 // 4):
        job = claim(full)
        loss = draw.choice(LOSSES)
        result = {
            "validation": {"loss": loss, "loss_se": 0.1},
            "generalization_gap": loss,
            "parameters": n // 4,
        }
        with full.writing() as tx:
            if n % 5 == 4:
                jobs.fail(tx, job.id, job.fence, stop_reason="diverged")
            else:
                jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result=result)
    return [look(full, job) for job in added]


def value_of(job: Job, key: str) -> Any:
    if key == "name":
        return job.name
    if key == "duration":
        began, ended = job.started_at, job.finished_at
        return None if began is None or ended is None else round((ended - began).total_seconds(), 3)
    return numbers_in(job.result).get(key)


def in_order(ranked: list[Job], sort: str) -> list[str]:
    """The ids as a list shows them: by the value, ties by age, then those without, the newest first."""
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    having = [job for job in ranked if value_of(job, key) is not None]
    lacking = [job for job in reversed(ranked) if value_of(job, key) is None]
    having.sort(key=lambda job: (value_of(job, key), job.id), reverse=descending)
    return [job.id for job in [*having, *lacking]]


def read_pages(database: Database, filters: Filters, sort: str, limit: int) -> list[str]:
    """Every page, one behind the other."""
    ids: list[str] = []
    cursor = None
    with database.reading() as tx:
        while True:
            page = jobs.page(tx, filters, sort=sort, cursor=cursor, limit=limit)
            ids += [job.id for job in page.rows]
            if (cursor := page.next) is None:
                return ids
            assert len(page.rows) == limit


FILTERS: dict[str, tuple[Filters, Callable[[Job], bool]]] = {
    "none": (Filters(), lambda job: True),
    "status": (Filters(status=["succeeded"]), lambda job: job.status == "succeeded"),
    "statuses": (Filters(status=["queued", "failed"]), lambda job: job.status in ("queued", "failed")),
    "dataset": (Filters(dataset="wine"), lambda job: job.dataset_name == "wine"),
    "label": (Filters(metadata={"team": "risk"}), lambda job: job.metadata["team"] == "risk"),
    "rare label and dataset": (
        Filters(metadata={"rare": "true"}, dataset="wine"),
        lambda job: job.metadata["rare"] and job.dataset_name == "wine",
    ),
    "two labels": (
        Filters(metadata={"team": "risk", "third": "1"}),
        lambda job: (job.metadata["team"], job.metadata["third"]) == ("risk", 1),
    ),
    "prefix": (Filters(name="credit*"), lambda job: (job.name or "").startswith("credit")),
    "a star itself": (Filters(name=r"a\*"), lambda job: job.name == "a*"),
    "a star and more": (Filters(name="a**"), lambda job: (job.name or "").startswith("a*")),
    "prefix and status": (
        Filters(name="credit*", status=["succeeded"]),
        lambda job: (job.name or "").startswith("credit") and job.status == "succeeded",
    ),
    "nothing": (Filters(name="no such*"), lambda job: False),
}
SORTS = [
    f"{sign}{key}" for key in ("val_loss", "gap", "parameters", "duration", "name") for sign in ("", "-")
]


@pytest.mark.parametrize("most", [2, 10_000], ids=["sieved", "gathered"])
def test_pages_are_the_sorted_whole(
    full: Database, ranked: list[Job], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whether what filters leave counts as few, to be gathered, or as many, to be walked along an index."""
    monkeypatch.setattr(candidates, "MOST", most)
    monkeypatch.setattr(candidates, "_FEW", min(most, candidates._FEW))
    for sort in SORTS:
        whole, by_id = in_order(ranked, sort), {job.id: job for job in ranked}
        for named, (filters, keeps) in FILTERS.items():
            wanted = [job_id for job_id in whole if keeps(by_id[job_id])]
            assert read_pages(full, filters, sort, 7) == wanted, (sort, named)
    assert read_pages(full, Filters(), "-val_loss", 1) == in_order(ranked, "-val_loss")


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
def test_a_prefix_is_paged_by_age_too(full: Database, ranked: list[Job], sort: str) -> None:
    wanted = [job.id for job in ranked if (job.name or "").startswith("credit")]
    found = read_pages(full, Filters(name="credit*"), sort, 3)
    assert found == (wanted[::-1] if sort.startswith("-") else wanted)


def test_a_cursor_belongs_to_its_sort(full: Database, ranked: list[Job]) -> None:
    with full.reading() as tx:
        cursor = jobs.page(tx, sort="-val_loss", limit=3).next
        assert cursor is not None
        for sort in ("val_loss", "-gap", "name", "-created_at"):
            with pytest.raises(BadCursor):
                jobs.page(tx, sort=sort, cursor=cursor)


def test_a_job_that_ends_between_two_pages_neither_hides_nor_doubles_others(database: Database) -> None:
    added = [add_job(database) for _ in range(6)]
    for place in range(3):
        job = claim(database)
        with database.writing() as tx:
            jobs.succeed(
                tx, job.id, job.fence, stop_reason="max_epochs", result={"validation": {"loss": float(place)}}
            )
    with database.reading() as tx:
        first = jobs.page(tx, sort="val_loss", limit=2)
    job = claim(database)
    with database.writing() as tx:
        jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={"validation": {"loss": -1.0}})
    with database.reading() as tx:
        rest = jobs.page(tx, sort="val_loss", cursor=first.next, limit=10)
    shown = [job.id for job in [*first.rows, *rest.rows]]
    assert len(shown) == len(set(shown))
    assert {job.id for job in added} - set(shown) == {job.id}


def test_numbers_go_with_their_job(full: Database, ranked: list[Job]) -> None:
    """Deleted with it, counted with it: the kept sums are those of the rows."""
    with full.reading() as tx:
        assert not usage.has_drifted(tx)
    gone = next(job for job in ranked if value_of(job, "val_loss") is not None)
    with full.writing() as tx:
        undo = tx.begin_nested()
        jobs.delete(tx, gone.id)
        page = list(islice(jobs.walk(tx, sort="val_loss", limit=NUMBER), NUMBER))
        undo.rollback()
    assert gone.id not in {found.job.id for found in page}
    assert len(page) == NUMBER - 1
