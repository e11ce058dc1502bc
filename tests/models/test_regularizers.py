"""Each technique against its formula; each property of the hooks against every technique there is."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from models.history import Epoch, History
from models.layers import Dropout as DropoutLayer
from models.layers import Randomness
from models.regularizers import (
    L1,
    L2,
    BatchNorm,
    Dropout,
    EarlyStopping,
    Monitor,
    Regularization,
    Regularizer,
)

FALLING_THEN_RISING = [
    1.0,
    0.8,
    0.7,
    0.65,
    0.66,
    0.641,
    0.63,
    0.635,
    0.632,
    0.625,
    0.63,
    0.628,
    0.64,
    0.635,
    0.645,
]
FALLING_THEN_RISING += [0.65 + 0.01 * step for step in range(20)]


def history(values: list[float], name: str = "val_loss") -> History:
    curve = History()
    for number, value in enumerate(values, start=1):
        curve.append(Epoch(number, {name: value}))
    return curve


def stops_at(stopping: EarlyStopping, *series: tuple[str, list[float]]) -> int | None:
    """The epoch at which it stops when the curve is dealt to it epoch by epoch."""
    curve = History()
    for number in range(1, len(series[0][1]) + 1):
        curve.append(Epoch(number, {name: values[number - 1] for name, values in series}))
        if stopping.should_stop(curve):
            return number
    return None


# ── penalties ───────────────────────────────────────────────────────────────────────────────────────────────


def test_l1_is_the_sum_of_magnitudes() -> None:
    w, strength = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    expected = np.sum(strength.numpy() * np.abs(w.numpy()))
    assert L1(strength=1.0).penalty(w, strength).item() == pytest.approx(expected, rel=1e-12)


def test_l2_is_the_sum_of_squares_and_its_gradient_is_autograds() -> None:
    w = torch.randn(50, dtype=torch.float64, requires_grad=True)
    strength = torch.rand(50, dtype=torch.float64)
    penalty = L2(strength=1.0).penalty(w, strength)
    assert penalty.item() == pytest.approx(
        float(np.sum(strength.numpy() * w.detach().numpy() ** 2)), rel=1e-12
    )
    penalty.backward()
    gradient = torch.zeros(50, dtype=torch.float64)
    L2(strength=1.0).add_gradient(w.detach(), strength, gradient)
    torch.testing.assert_close(gradient, w.grad)


@pytest.mark.parametrize("step", [0.1, torch.linspace(0.01, 2, 50, dtype=torch.float64)])
def test_l1_shrinks_by_the_soft_threshold_and_to_exact_zero(step: float | torch.Tensor) -> None:
    w = torch.linspace(-1, 1, 50, dtype=torch.float64)
    expected = np.sign(w.numpy()) * np.maximum(np.abs(w.numpy()) - np.asarray(step) * 0.7, 0)
    L1(strength=0.7).shrink(w, 0.7 * torch.as_tensor(step, dtype=torch.float64))
    np.testing.assert_allclose(w.numpy(), expected, atol=1e-15)
    assert (w == 0).sum() == (expected == 0).sum() > 0


@pytest.mark.parametrize("field", list(Regularization.model_fields))
def test_penalties_treat_a_stack_as_its_members(field: str) -> None:
    """A leading dimension of K networks changes nothing for any of them."""
    technique = Regularization.model_validate({field: EXAMPLES[field]}).techniques()[field]
    stack, strength = torch.randn(3, 20), torch.rand(3, 20)
    gradients = torch.zeros(3, 20)
    together = technique.penalty(stack, strength)
    technique.add_gradient(stack, strength, gradients)
    for member in range(3):
        alone, gradient = technique.penalty(stack[member], strength[member]), torch.zeros(20)
        technique.add_gradient(stack[member], strength[member], gradient)
        torch.testing.assert_close(gradients[member], gradient)
        if together is not None:
            torch.testing.assert_close(together[member], alone)


EXAMPLES = {"l1": 0.1, "l2": 0.1, "dropout": 0.5, "batch_norm": True, "early_stopping": True}


def test_every_technique_says_what_it_is_and_where_it_comes_from() -> None:
    techniques = Regularization.model_validate(EXAMPLES).techniques()
    assert set(techniques) == set(Regularization.model_fields)
    for technique in techniques.values():
        assert isinstance(technique, Regularizer)
        assert len(type(technique).__doc__ or "") > 80
        assert technique.good_for
        assert technique.usual
        assert technique.source


# ── dropout ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_zeroes_its_share(rate: float) -> None:
    layer = DropoutLayer(rate, Randomness(0))
    dropped = layer(torch.ones(2000, 500))
    assert (dropped == 0).double().mean().item() == pytest.approx(rate, abs=2e-3)
    assert dropped.mean().item() == pytest.approx(1.0, abs=6e-3)
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=2e-4, atol=0)


def test_dropout_is_the_identity_in_evaluation() -> None:
    x = torch.randn(10, 7)
    assert DropoutLayer(0.5, Randomness(0)).eval()(x) is x


def test_dropout_repeats_with_its_seed_and_differs_with_another() -> None:
    def draw(seed: int) -> torch.Tensor:
        return DropoutLayer(0.5, Randomness(seed))(torch.ones(40, 13))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_dropout_gives_each_layer_its_rate() -> None:
    dropout, randomness = Dropout(input=0.1, hidden=[0.5, 0.0]), Randomness(0)
    rates = [
        dropout.on_input(4, randomness),
        *(dropout.after_activation(layer, 8, randomness) for layer in (0, 1)),
    ]
    assert [layer.rate if isinstance(layer, DropoutLayer) else None for layer in rates] == [0.1, 0.5, None]


# ── batch norm ──────────────────────────────────────────────────────────────────────────────────────────────


def test_batch_norm_equals_torchs_in_outputs_gradients_and_statistics() -> None:
    """Against the paper's formula written out, and against torch's own layer."""
    ours, torchs = BatchNorm(momentum=0.3, eps=1e-3).before_activation(0, 6), nn.BatchNorm1d(6, 1e-3, 0.3)
    assert ours is not None
    x = torch.randn(20, 6) * 3 + 1
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [layer(given) for layer, given in zip((ours, torchs), inputs, strict=True)]
    formula = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-3).sqrt()
    torch.testing.assert_close(outputs[0], formula)
    for output in outputs:
        (output * torch.linspace(-1, 1, 6) + output**2).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(ours.running_mean, 0.3 * x.mean(0))
    torch.testing.assert_close(ours.running_var, 0.7 * torch.ones(6) + 0.3 * x.var(0))
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


# ── early stopping ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("patience", "epoch"), [(1, 5), (2, 9), (3, 13), (5, 15), (10, 20)])
def test_patience_on_the_scripted_curve(patience: int, epoch: int) -> None:
    stopping = EarlyStopping(monitors=[Monitor(patience=patience)])
    assert stops_at(stopping, ("val_loss", FALLING_THEN_RISING)) == epoch


def test_the_best_epoch_of_the_scripted_curve_is_ten() -> None:
    assert Monitor().stalled_for(history(FALLING_THEN_RISING)) == (len(FALLING_THEN_RISING) - 10, 10)


def test_ties_are_not_improvements() -> None:
    assert stops_at(EarlyStopping(monitors=[Monitor(patience=3)]), ("val_loss", [1.0] * 10)) == 4


def test_what_is_undefined_neither_improves_nor_counts() -> None:
    values = [1.0, math.nan, 0.9, math.nan, 0.95, math.nan, 0.96, 0.97, math.nan]
    stopping = EarlyStopping(monitors=[Monitor(patience=3)])
    assert stops_at(stopping, ("val_loss", values)) == 8
    assert stops_at(stopping, ("val_loss", [math.nan] * 50)) is None
    assert stops_at(stopping, ("val_loss", [math.inf] * 50)) == 3  # infinite is a value, and no better one


@pytest.mark.parametrize("combine", ["all", "any"])
def test_other_monitors_decide_where_one_is_undefined(combine: Literal["all", "any"]) -> None:
    monitors = [Monitor(metric="val_roc_auc", patience=2), Monitor(patience=4)]
    stopping = EarlyStopping(monitors=monitors, combine=combine)
    stalled = ("val_loss", [0.5] * 30)
    assert stops_at(stopping, ("val_roc_auc", [math.nan] * 30), stalled) == 5
    curve = history([0.0] * 30, "val_recall")
    undefined = dataclasses.replace(curve, undefined=frozenset({"val_recall"}))
    watching = EarlyStopping(monitors=[Monitor(metric="val_recall", patience=2)], combine=combine)
    assert watching.should_stop(curve) is not None
    assert watching.should_stop(undefined) is None


def test_min_delta_must_be_exceeded() -> None:
    values = [1.0, 0.75, 0.5, 0.4, 0.3, 0.26, 0.24]
    stopping = EarlyStopping(monitors=[Monitor(patience=2, min_delta=0.25)])
    assert stops_at(stopping, ("val_loss", [1.0, 0.75, 0.5])) is None  # 0.5 beats 1.0 by more than min_delta
    assert stops_at(stopping, ("val_loss", values)) == 5  # 0.4 and 0.3 do not beat 0.5 by more than 0.25


def test_direction_comes_from_the_metric() -> None:
    rising = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert (
        stops_at(
            EarlyStopping(monitors=[Monitor(metric="val_f1_macro", patience=2)]), ("val_f1_macro", rising)
        )
        is None
    )
    assert (
        stops_at(EarlyStopping(monitors=[Monitor(metric="val_brier", patience=2)]), ("val_brier", rising))
        == 3
    )


def test_min_epochs_delays_the_stop_without_forgetting_the_wait() -> None:
    stopping = EarlyStopping(monitors=[Monitor(patience=2)], min_epochs=7)
    assert stops_at(stopping, ("val_loss", [1.0] * 10)) == 7
    recovers = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.6, 0.6]
    assert stops_at(stopping, ("val_loss", recovers)) == 8


def test_all_waits_for_the_slowest_monitor_and_any_for_the_first() -> None:
    monitors = [Monitor(patience=2), Monitor(metric="val_accuracy", patience=2)]
    loss, accuracy = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9], [0.5, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8]
    series = (("val_loss", loss), ("val_accuracy", accuracy))
    assert stops_at(EarlyStopping(monitors=monitors, combine="any"), *series) == 4
    assert stops_at(EarlyStopping(monitors=monitors, combine="all"), *series) == 7


def test_the_reason_names_the_series_the_wait_and_the_best_epoch() -> None:
    reason = EarlyStopping(monitors=[Monitor(patience=3)]).should_stop(history(FALLING_THEN_RISING[:13]))
    assert reason == "val_loss has not improved for 3 epochs since epoch 10"


def test_judging_a_curve_again_from_its_values_gives_the_same_answer() -> None:
    """The state of early stopping is the curve itself, so it survives a checkpoint of the curve."""
    stopping, curve = EarlyStopping(monitors=[Monitor(patience=3)]), History()
    for number, value in enumerate(FALLING_THEN_RISING, start=1):
        curve.append(Epoch(number, {"val_loss": value}))
        reloaded = history(FALLING_THEN_RISING[:number])
        assert stopping.should_stop(curve) == stopping.should_stop(reloaded)
