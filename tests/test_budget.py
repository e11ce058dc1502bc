"""The budget of slow tests names tests that there are, and finds those that it does not name."""

from __future__ import annotations

import pytest

from tests import budget
from tests.sources import ROOT


@pytest.mark.parametrize("named", budget.ALLOWED)
def test_what_is_named_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    assert (ROOT / path).exists()
    assert not test or f"def {test}" in (ROOT / path).read_text()


@pytest.mark.parametrize("place", [*budget.LONGEST, *budget.SHARING])
def test_what_has_a_place_in_the_order_is_there(place: str) -> None:
    assert (ROOT / place).exists()


def test_set_up_and_call_count_together_and_what_is_named_is_left_out() -> None:
    def report(nodeid: str, when: str, seconds: float) -> pytest.TestReport:
        return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=seconds)  # type: ignore[arg-type]

    named = next(iter(budget.ALLOWED))
    reports = [
        *(report("tests/a.py::slow", when, 1.6) for when in ("setup", "call", "teardown")),
        *(report("tests/a.py::quick", when, 1.4) for when in ("setup", "call", "teardown")),
        report(f"{named}[x]", "call", 9.0),
    ]
    assert [nodeid for _, nodeid in budget.find_slow(reports)] == ["tests/a.py::slow"]
