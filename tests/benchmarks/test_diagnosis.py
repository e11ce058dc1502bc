"""Jobs drawn at random, and what is true of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from benchmarks.diagnosis import Judged, Score, score
from benchmarks.draws import draw
from benchmarks.truths import FRESH_ROWS, fresh_losses, measured
from benchmarks.worlds import WORLDS

EASY = next(number for number in range(600) if len(draw(number).data.description.columns) < 9)


def test_a_number_is_always_the_same_job() -> None:
    one, other = draw(7), draw(7)
    assert one.spec == other.spec
    assert one.data.description == other.data.description
    assert draw(8).spec != one.spec


def test_every_kind_of_world_is_drawn_equally_often() -> None:
    assert Counter(draw(number).kind for number in range(1_000, 1_040)) == dict.fromkeys(WORLDS, 4)


def test_fresh_rows_are_of_the_same_world_and_new() -> None:
    drawn = draw(EASY)
    x, y = drawn.fresh(5_000, 0)
    again, _ = drawn.fresh(5_000, 0)
    other, _ = drawn.fresh(5_000, 1)
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)
    known = {round(value, 9) for value in drawn.data.columns["x0"].tolist()}
    assert not known & {round(value, 9) for value in x[:, 0].tolist()}
    given = drawn.data.columns["x0"]
    assert x[:, 0].mean() == pytest.approx(given.mean(), abs=6 * given.std() / math.sqrt(len(given)))
    assert len(y) == 5_000


def test_what_is_measured_is_json_and_agrees_with_training_again() -> None:
    told = json.loads(json.dumps(measured(EASY)))
    drawn = draw(EASY)
    assert told["fresh"] == pytest.approx(fresh_losses(drawn, {}, [drawn.spec.training.seed])[0], rel=1e-9)
    assert told["fresh_se"] < 0.1 * told["fresh"]
    assert len(told["trace"]) == len(told["series"]["train_loss"])
    # The loss of the kept epoch, on other fresh rows.
    kept = told["trace"][told["result"]["restored_epoch"] - 1]
    assert kept == pytest.approx(told["fresh"], abs=6 * told["fresh_se"] * math.sqrt(FRESH_ROWS / 2_000))
    assert Judged(told).diagnosis.verdict


def judged(
    train: list[float], *, fresh: float = 0.5, kept: float = 0.5, trace: list[float] | None = None
) -> Judged:
    told: dict[str, Any] = {
        "number": EASY,
        "spec": draw(EASY).spec.model_dump(mode="json"),
        "series": {"train_loss": train, "val_loss": train},
        "result": {"train": {"loss": kept}, "validation": {"loss": fresh}},
        "stop_reason": "max_epochs",
        "weights": None,
        "fresh": fresh,
        "trace": trace or train,
    }
    return Judged(told)


def test_the_truths_are_what_they_are_called() -> None:
    calm = [0.6, 0.5, 0.45, 0.42, 0.41, 0.4, 0.4, 0.4, 0.4, 0.4]
    base = judged(calm).baseline
    assert judged(calm, kept=0.4, fresh=0.4 + 0.11 * base).overfits
    assert not judged(calm, kept=0.4, fresh=0.4 + 0.09 * base).overfits
    assert judged(calm, kept=0.4, fresh=0.45).overfits_by_the_simple_rule
    assert not judged(calm, kept=0.4, fresh=0.43).overfits_by_the_simple_rule
    assert not judged(calm).is_unstable
    assert judged(calm, trace=[0.6, 0.5, 0.45, 0.6, 0.4, 0.6, 0.4, 0.6, 0.4, 0.6]).is_unstable
    assert judged([*calm[:7], 0.4 + 0.6 * base, 0.4, 0.4]).is_unstable
    assert judged([*calm[:5], 1e6, 1e6, 1e6, 1e6, 1e6]).ran_away
    assert not judged(calm).ran_away


def test_precision_is_of_the_called_and_recall_of_the_so() -> None:
    found = score([True, True, True, False, False], [True, False, True, True, False])
    assert found == Score(called=3, so=3, both=2)
    assert score([True, False], [True, True]).precision_and_recall == (1.0, 0.5)
    assert score([False], [False]).precision_and_recall == (0.0, 0.0)
