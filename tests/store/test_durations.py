"""Durations as people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from store import durations
from store.settings import Settings


def test_a_list_of_durations() -> None:
    assert durations.parse("5s, 5m,30m , 2h,0.5s, 1.5d") == (5, 300, 1800, 7200, 0.5, 129_600)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "+5s",
        "5s,",
        ",5s",
        "5S",
        "5sec",
        "1e3s",
        ".5s",
        "5s 5m",
        "٥s",
        "nan",
        "∞d",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write a number"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["0s", "0.000d", "31d", "721h"])
def test_a_duration_has_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="between nothing and 30 days"):
        durations.parse(text)


def test_there_are_only_so_many() -> None:
    with pytest.raises(ValueError, match="at most 50"):
        durations.parse(", ".join(["1s"] * 51))


def test_the_settings_refuse_what_cannot_be_read() -> None:
    with pytest.raises(ValidationError, match="'5x' is no duration"):
        Settings(webhook_retries="5s, 5x")
    with pytest.raises(ValidationError, match="'http://x' is no host"):
        Settings(webhook_private_hosts="http://x")
    assert len(Settings().webhook_pauses) == 9
    assert Settings().private_hosts == frozenset()
