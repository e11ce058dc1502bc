"""YAML as people write it, and as attackers do; Accept headers; what Prefer says."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.requests import Request

from api import yaml_documents
from api.errors import InvalidInputError, MalformedRequestError, NotAcceptableError
from api.negotiation import chosen
from api.waiting import preferred_seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("l1: 1e-5", {"l1": 1e-5}),
        ("l1: 1E5", {"l1": 1e5}),
        ("a: .5", {"a": 0.5}),
        ("a: 5.", {"a": 5.0}),
        ("a: -7", {"a": -7}),
        ("a: 007", {"a": 7}),
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 0x1f", {"a": "0x1f"}),
        ("a: '5'", {"a": "5"}),
        ('a: "true"', {"a": "true"}),
        ("a: true", {"a": True}),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ("a: [1, [], {}]", {"a": [1, [], {}]}),
        ("a:\n  - b: 1\n    c: [x, y]\n  - d", {"a": [{"b": 1, "c": ["x", "y"]}, "d"]}),
        ("a: >\n  folded\n  text\n", {"a": "folded text\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ("# only\na: 1 # comments", {"a": 1}),
        ("--- \na: 1\n...", {"a": 1}),
        ("a: \N{GRINNING FACE}", {"a": "\N{GRINNING FACE}"}),
    ],
)
def test_yaml_means_what_people_mean(text: str, value: Any) -> None:
    assert yaml_documents.parse(text.encode()) == value


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &anchor 1",
        "a: *nobody",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary aGVsbG8=",
        "a: !!timestamp 2026-01-01",
        "!!set {a}",
        "a: 1\n---\nb: 2",
        "a: 1\na: 2",
        "? [a]\n: 1",
        "1: {2: [",
        "[" * 100_000,
        "- " * 50_000,
        "{a: " * 100_000,
        "a: \x00",
        "a: \x07",
        "%YAML 9.9\n---\na",
        "\ttab: 1",
        "",
        "# nothing",
        "{",
        "a: 'open",
    ],
)
def test_yaml_that_is_hostile_or_broken_is_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(MalformedRequestError) as refused:
        yaml_documents.parse(text.encode())
    assert str(refused.value)
    assert time.perf_counter() - started < 5


def test_yaml_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        yaml_documents.parse(b"a: \xff")


OFFERED = ["application/json", "text/csv", "image/png"]


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("image/*", "image/png"),
        ("text/csv;q=0.5, image/png;q=0.9", "image/png"),
        ("*/*;q=0.1, image/png", "image/png"),
        ("application/json;q=0, */*", "text/csv"),
        ("text/csv;q=nonsense", "text/csv"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        (",,text/csv,", "text/csv"),
    ],
)
def test_the_best_of_what_is_offered_is_chosen(accept: str, best: str) -> None:
    assert chosen(accept, OFFERED) == best


@pytest.mark.parametrize("accept", ["application/pdf", "*/*;q=0", "image/jpeg, text/html", "nonsense"])
def test_nothing_acceptable_is_said(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="text/csv"):
        chosen(accept, OFFERED)


def preferring(*values: str) -> Request:
    return Request({"type": "http", "headers": [(b"prefer", value.encode()) for value in values]})


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ((), None),
        (("respond-async",), None),
        (("wait=20",), 20.0),
        (("respond-async, wait=5",), 5.0),
        (("return=minimal", "Wait = 7"), 7.0),
        (('wait="9"',), 9.0),
    ],
)
def test_a_preference_is_read_as_the_rfc_writes_it(values: tuple[str, ...], seconds: float | None) -> None:
    assert preferred_seconds(preferring(*values)) == seconds


def test_a_preference_for_too_long_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        preferred_seconds(preferring("wait=3600"))
