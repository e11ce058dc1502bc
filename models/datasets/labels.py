"""What the classes of a target are called: as the file writes them."""

from __future__ import annotations

import polars as pl

from models.datasets.cells import MAX_TEXT
from models.datasets.table import as_labels


def labels_of(target: pl.Series, written: pl.Series | None) -> tuple[list[str], list[str]]:
    """The labels of a target's values in their order, and what is to be said of them.

    `written` is the target's text in a file that is text. A value that is written in two ways (`1` and `1.0`)
    is called as this program writes it, and so are all others then.
    """
    values = target.unique().sort()
    plain = as_labels(values).to_list()
    if written is None or target.dtype not in (pl.Boolean, pl.Int64, pl.Float64):
        return plain, []
    pairs = pl.DataFrame({"value": target, "text": written}).unique().sort("value", "text")
    if len(pairs) == len(values):
        return pairs["text"].str.head(MAX_TEXT).to_list(), []
    twice = pairs.filter(pl.col("value").is_duplicated()).head(2)["text"].to_list()
    first, second = (repr(text) for text in twice)
    shown = plain[int(values.search_sorted(pairs.filter(pl.col("text") == twice[0])["value"][0]))]
    return plain, [f"{first} and {second} in the target column {target.name!r} are one class, {shown!r}"]
