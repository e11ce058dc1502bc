"""Tables come from the file store once, and the last few stay."""

from __future__ import annotations

import pytest

from store.errors import FileMissing
from tests.worker.building import Workshop, iris, noise
from worker import datasets
from worker.datasets import Tables


def test_a_table_is_read_once(small_workshop: Workshop) -> None:
    dataset = small_workshop.add_dataset(iris())
    tables = Tables(small_workshop.files)
    first = tables.of(dataset)
    assert first.description == iris().description
    small_workshop.files.delete(dataset.table_key)
    assert tables.of(dataset) is first


def test_only_the_last_few_are_kept(small_workshop: Workshop) -> None:
    tables = Tables(small_workshop.files)
    made = [small_workshop.add_dataset(noise(10 + number)) for number in range(datasets.KEPT_TABLES + 1)]
    for dataset in made:
        tables.of(dataset)
        small_workshop.files.delete(dataset.table_key)
    for dataset in made[1:]:
        tables.of(dataset)
    with pytest.raises(FileMissing):
        tables.of(made[0])


def test_a_table_larger_than_the_room_is_not_kept(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "KEPT_CELLS", 100)
    dataset = small_workshop.add_dataset(noise(100))
    tables = Tables(small_workshop.files)
    assert tables.of(dataset).rows == 100
    small_workshop.files.delete(dataset.table_key)
    with pytest.raises(FileMissing):
        tables.of(dataset)
