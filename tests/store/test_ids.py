"""Ids: prefixed, and sortable by creation."""

from __future__ import annotations

import re
import time

from store import ids


def test_ids_sort_by_creation() -> None:
    made = []
    for _ in range(20):
        made += [ids.new("job") for _ in range(50)]
        time.sleep(0.001)
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_says_what_it_names() -> None:
    assert re.fullmatch(r"ds_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", ids.new("ds"))
    assert all(ids.possible(ids.new(prefix)) for prefix in ("job", "ds", "study", "req", "worker"))


def test_what_cannot_be_an_id() -> None:
    assert not any(ids.possible(text) for text in ("", "a\x00", "\ud800", "ä", "x" * 41, "a\nb"))
