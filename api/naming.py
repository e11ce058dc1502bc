"""Which dataset a word means: an id, a name, or a name with the first letters of its sha256."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from models.complaints import printable
from models.datasets import BUNDLED
from models.errors import Complaint, SpecError
from models.suggestions import near_name
from store import dataset_names, datasets
from store.dataset_names import MOST_CALLED
from store.datasets import Dataset, Listed
from store.errors import NotFound
from store.session import Connection

_LETTERS: Final = 8
LONGEST_WORD: Final = 200
"""What a spec takes for a dataset."""


def find_dataset(tx: Connection, word: str) -> Dataset:
    """The dataset that a word means; `NotFound`, or `SpecError` at `/dataset` where it may mean several."""
    if "\0" in word:  # No name has one, and PostgreSQL would not even take the question.
        raise NotFound("dataset", word)
    if word in BUNDLED and (bundled := datasets.find_bundled(tx, word)):
        return bundled
    with suppress(NotFound):
        return datasets.get(tx, word)
    found = dataset_names.find_called(tx, word)
    if not found:
        raise NotFound("dataset", word)
    if len(found) > 1:
        raise SpecError([_ambiguous(tx, word, found)])
    return datasets.get(tx, found[0].id)


def find_dataset_of_spec(tx: Connection, word: str) -> Dataset:
    """The dataset that a spec names; `SpecError` at `/dataset` where there is none, or several."""
    try:
        return find_dataset(tx, word)
    except NotFound:
        bundled = ", ".join(BUNDLED)
        detail = f"there is no dataset {word!r}; name an id (ds_…), a dataset's name, or one of {bundled}"
        near = near_name(word, [*BUNDLED, *dataset_names.recent_names(tx)])
        raise SpecError([Complaint("/dataset", detail, word[:80], near)]) from None


def warn_of_namesakes(tx: Connection, word: str) -> str | None:
    """What to know where a bundled dataset was meant by a word that others are called by too."""
    if word not in BUNDLED:
        return None
    others = [each for each in dataset_names.find_called(tx, word) if not each.bundled]
    if not others:
        return None
    names = ", ".join(_distinguish(tx, others)[:MOST_CALLED])
    return f"{word!r} is the bundled dataset; of those that were uploaded under this name write {names}"


def _ambiguous(tx: Connection, word: str, found: Sequence[Listed]) -> Complaint:
    """Several datasets: how to write each, and what tells them apart."""
    shown = found[:MOST_CALLED]
    names = _distinguish(tx, shown)
    told = "; ".join(_describe(name, each) for name, each in zip(names, shown, strict=True))
    more = "; and more" if len(found) > MOST_CALLED else ""
    several = "several datasets are" if len(found) > MOST_CALLED else f"{len(found)} datasets are"
    return Complaint("/dataset", f"{several} called {printable(word)!r}: {told}{more}", word[:80], names[0])


def _describe(name: str, dataset: Listed) -> str:
    created = dataset.created_at.strftime("%Y-%m-%d %H:%M")
    about = f"{dataset.rows:,} rows, target {printable(dataset.target)}, created {created}"
    return f"{name} ({about})" if name == dataset.id else f"{name} ({dataset.id}, {about})"


def _distinguish(tx: Connection, found: Sequence[Listed]) -> list[str]:
    """How to write each so that it means no other; by its id where nothing else that can be written does."""
    return [_short_form(tx, each) or each.id for each in found]


def _short_form(tx: Connection, dataset: Listed) -> str | None:
    """A name with letters of the sha256, if it can be written as it is shown and means this one alone."""
    written = f"{dataset.name}@{dataset.sha256[:_LETTERS]}"
    if printable(written) != written or len(written) > LONGEST_WORD:
        return None
    meant = dataset_names.find_called(tx, written)
    return written if [each.id for each in meant] == [dataset.id] else None
