"""A diagnosis as people see it."""

from __future__ import annotations

from cli.diagnosis import diagnosis
from tests.cli import answers
from tests.cli.test_views import seen


def test_a_diagnosis_says_what_why_and_what_to_change() -> None:
    said = seen(diagnosis(answers.diagnosis()))
    assert said.splitlines()[0] == "overfitting: The gap is 28% of all there was to learn."
    assert "  gap growth  the gap grew to 3.1 by epoch 60" in said
    assert "regularization.dropout.hidden: [0.5, 0.5]" in said
    assert "regularization.early_stopping.monitors: val_loss, patience 10" in said
    assert "regularization.l1: nothing" in said


def test_where_nothing_is_to_be_mended_nothing_is_to_be_tried() -> None:
    said = seen(diagnosis(answers.diagnosis(verdict="good_fit", suggestions=[])))
    assert said.startswith("good fit: ")
    assert "try" not in said


def test_nothing_in_it_can_steer_a_terminal() -> None:
    hostile = {"technique": "\x1b[2J", "detail": "\x1b]0;pwned\x07", "patch": {"\x1b[31m": "\x1b[0m"}}
    said = seen(diagnosis(answers.diagnosis(summary="\x1b[2J", suggestions=[hostile])))
    assert "\x1b" not in said
