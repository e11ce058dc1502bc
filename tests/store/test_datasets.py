"""Datasets: the same bytes are the same dataset, and what jobs use stays."""

from __future__ import annotations

from functools import partial

import pytest

from store import datasets, ids, jobs
from store.errors import DatasetInUse, NotFound
from store.files import Stored
from store.session import Database
from tests.store.examples import add_dataset, add_job, claim, elsewhere, together

SHA256 = "a" * 64


def test_a_dataset_comes_back_whole(database: Database) -> None:
    dataset_id = ids.new("ds")
    description = {"columns": [{"name": "größe", "kind": "numeric", "minimum": 1e300}], "classes": None}
    table = Stored(datasets.table_key(dataset_id), "c" * 64, 321)
    with database.writing() as tx:
        added, created = datasets.add(
            tx,
            dataset_id=dataset_id,
            name="houses",
            filename="houses.csv",
            sha256=SHA256,
            size=1234,
            target="price",
            task="regression",
            rows=20640,
            features=8,
            description=description,
            table=table,
        )
    assert created
    with database.reading() as tx:
        found = datasets.get(tx, dataset_id)
    assert found == added
    assert found.description == description
    assert (found.name, found.filename, found.bytes, found.rows) == ("houses", "houses.csv", 1234, 20640)
    assert (found.table_key, found.table_sha256, found.table_bytes) == (table.key, table.sha256, table.bytes)


def test_the_same_bytes_and_target_are_the_same_dataset(database: Database) -> None:
    with database.writing() as tx:
        first = add_dataset(tx, sha256=SHA256, target="y", name="first")
        assert add_dataset(tx, sha256=SHA256, target="y", name="again") == first
        others = [
            add_dataset(tx, sha256=SHA256, target="z"),
            add_dataset(tx, sha256=SHA256, target="y", task="regression"),
            add_dataset(tx, sha256="b" * 64, target="y"),
        ]
        with elsewhere(tx):
            others.append(add_dataset(tx, sha256=SHA256, target="y"))
        assert len({first.id, *(other.id for other in others)}) == 5
        assert datasets.same(tx, sha256=SHA256, target="y", task="classification") == first
        assert datasets.same(tx, sha256=SHA256, target="unknown", task="classification") is None


def test_only_the_first_is_new(database: Database) -> None:
    """Who is told that it is new keeps its table, and whoever is told otherwise discards it."""
    about = {"name": "n", "size": 1, "target": "y", "task": "classification", "rows": 1, "features": 1}
    with database.writing() as tx:
        found = [
            datasets.add(tx, **about, sha256=SHA256, description={}, table=Stored("t", "b" * 64, 1))  # type: ignore[arg-type]
            for _ in range(3)
        ]
    assert [created for _, created in found] == [True, False, False]


def test_two_uploads_of_the_same_race(database: Database) -> None:
    def upload() -> str:
        with database.writing() as tx:
            return add_dataset(tx, sha256=SHA256, target="y").id

    for _ in range(5):
        assert len(set(together([upload] * 4))) == 1


def test_bundled_ones_are_found_by_name(database: Database) -> None:
    with database.writing() as tx:
        add_dataset(tx, name="iris")
        assert datasets.find_bundled(tx, "iris") is None
        bundled = add_dataset(tx, name="iris", bundled=True)
        assert datasets.find_bundled(tx, "iris") == bundled
        with elsewhere(tx):
            assert datasets.find_bundled(tx, "iris") is None


def test_pages(database: Database) -> None:
    with database.writing() as tx:
        added = [add_dataset(tx, name=f"data-{n % 2}").id for n in range(7)]
        first = datasets.page(tx, limit=4)
        second = datasets.page(tx, limit=4, cursor=first.next)
        assert [row.id for row in (*first.rows, *second.rows)] == added[::-1]
        assert second.next is None
        named = datasets.page(tx, name="data-1", sort="created_at")
        assert [row.id for row in named.rows] == added[1::2]
        with elsewhere(tx):
            assert datasets.page(tx).rows == []


def test_one_that_jobs_use_stays(database: Database) -> None:
    job = add_job(database)
    with database.writing() as tx:
        with pytest.raises(DatasetInUse, match="used by 1 job, delete it first"):
            datasets.delete(tx, job.dataset_id)
        jobs.add(tx, spec={}, dataset_id=job.dataset_id, max_epochs=1)
        with pytest.raises(DatasetInUse, match="used by 2 jobs, delete them first") as refusal:
            datasets.delete(tx, job.dataset_id)
        assert refusal.value.jobs == 2
        assert datasets.get(tx, job.dataset_id).id == job.dataset_id


def test_deleting_names_the_files(database: Database) -> None:
    with database.writing() as tx:
        dataset = add_dataset(tx)
        assert datasets.known(tx, [dataset.table_key, "datasets/orphan.parquet"]) == {dataset.table_key}
        with elsewhere(tx), pytest.raises(NotFound):
            datasets.delete(tx, dataset.id)
        assert datasets.delete(tx, dataset.id) == [dataset.table_key]
        assert datasets.known(tx, [dataset.table_key]) == set()
        for look_up in (datasets.get, datasets.delete):
            with pytest.raises(NotFound):
                look_up(tx, dataset.id)


def test_deleting_and_submitting_race(database: Database) -> None:
    """Either the job is refused or the dataset stays: never a job without its dataset."""

    def submit(dataset_id: str) -> bool:
        try:
            with database.writing() as tx:
                jobs.add(tx, spec={}, dataset_id=dataset_id, max_epochs=1)
        except NotFound:
            return False
        return True

    def delete(dataset_id: str) -> bool:
        try:
            with database.writing() as tx:
                datasets.delete(tx, dataset_id)
        except DatasetInUse:
            return False
        return True

    for _ in range(15):
        with database.writing() as tx:
            dataset_id = add_dataset(tx).id
        submitted, deleted = together([partial(submit, dataset_id), partial(delete, dataset_id)])
        assert submitted != deleted
        if submitted:
            assert claim(database).dataset_id == dataset_id


@pytest.mark.parametrize("dataset_id", ["ds_unknown", "", "\x00", "x" * 999])
def test_an_id_of_nothing_is_not_found(database: Database, dataset_id: str) -> None:
    with database.writing() as tx:
        for look_up in (datasets.get, datasets.delete):
            with pytest.raises(NotFound):
                look_up(tx, dataset_id)
