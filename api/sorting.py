"""What a list of jobs may be sorted by, and what is to be said of a choice."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from models.metrics import METRICS
from models.suggestions import near_name

_PLAIN: Final = ("created_at", "name", "duration", "gap", "best_epoch", "parameters")
_SPLITS: Final = ("train", "val", "test")
KEYS: Final = (*_PLAIN, *(f"{split}_{name}" for split in _SPLITS for name in ("loss", *METRICS)))
_SORTS: Final = (*(f"-{key}" for key in KEYS), *KEYS)
_KNOWN: Final = frozenset(_SORTS)
_SPENDS_THE_TEST: Final = (
    "these jobs are sorted by a number of the test split; choosing by a test metric spends the test split: "
    "what it then says of the chosen job is too good. Choose by the validation split's number (val_…)"
)


def _check_sort(sort: str) -> str:
    if sort in _KNOWN:
        return sort
    sign, key = ("-", sort[1:]) if sort.startswith("-") else ("", sort)
    near = near_name(key, KEYS)
    said = f"{', '.join(_PLAIN)}, or {', '.join(f'{split}_' for split in _SPLITS)} and loss or a metric"
    words = f"jobs are sorted by {said} (val_loss, -val_roc_auc); `-` in front puts the largest first"
    raise PydanticCustomError("sort", words, {"expected": f"{sign}{near}"} if near else {})


JobSort = Annotated[
    str,
    Query(
        max_length=200,
        description=(
            "What to sort by: the time, the name, how long it took, the gap between validation and training "
            "loss, the best epoch, the parameters, or the loss or a metric of a split. `-` in front puts the "
            "largest first. Jobs that lack it come last either way, the newest first."
        ),
    ),
    AfterValidator(_check_sort),
    WithJsonSchema({"type": "string", "enum": list(_SORTS)}),
]


def notices_of(sort: str) -> list[str]:
    """What whoever chooses by this order should know."""
    return [_SPENDS_THE_TEST] if sort.removeprefix("-").startswith("test_") else []
