"""The loop: its curve, its endings, its determinism, and that regularization does its work."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
import torch

from models.batches import batch_bounds
from models.datasets import Table, bundled
from models.training import Training
from tests.models.building import ALL_ROWS, coefficients, table, trained, training

SEED_NETWORK: dict[str, Any] = {
    "network": {"hidden": [128, 64]},
    "regularization": {
        "l1": 1e-5,
        "l2": 1e-4,
        "dropout": [0.5, 0.3],
        "batch_norm": True,
        "early_stopping": {"monitor": "val_loss", "patience": 3},
    },
    "training": {"max_epochs": 50, "batch_size": 32},
}
SHORT = SEED_NETWORK | {"training": {"max_epochs": 4, "batch_size": 64}}
OFF: dict[str, Any] = {"regularization": {}}


@pytest.fixture(scope="module")
def digits() -> Table:
    return bundled("digits")


def curve(done: Training) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.values.items() if name != "epoch_seconds"}
        for epoch in done.history.epochs
    ]


def weights(done: Training) -> dict[str, torch.Tensor]:
    return dict(done.network.state_dict())


# ── the curve ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_epoch_records_every_series(digits: Table) -> None:
    done = trained(digits, **SHORT)
    always = {
        "objective",
        "train_loss",
        "val_loss",
        "penalty_l1",
        "penalty_l2",
        "learning_rate",
        "weight_norm",
    }
    always |= {
        "sparsity",
        "epoch_seconds",
        "train_accuracy",
        "val_accuracy",
        "train_f1_macro",
        "val_f1_macro",
    }
    for epoch in done.history.epochs:
        assert set(epoch.values) == always
        assert all(math.isfinite(value) for value in epoch.values.values())


def test_losses_are_the_data_term_and_penalties_stand_apart(digits: Table) -> None:
    done = trained(digits, **SHORT | {"regularization": {"l1": 1e-3, "l2": 1e-2}})
    w = torch.cat([layer.weight.flatten() for _, layer in done.network.linears()])
    last = done.history.epochs[done.restored_epoch - 1].values
    assert last["penalty_l1"] == pytest.approx(1e-3 * w.abs().sum().item(), rel=1e-5)
    assert last["penalty_l2"] == pytest.approx(1e-2 * w.square().sum().item(), rel=1e-5)
    assert last["weight_norm"] == pytest.approx(w.norm().item(), rel=1e-5)
    assert last["sparsity"] == pytest.approx((w == 0).double().mean().item())
    assert last["objective"] > last["train_loss"] + last["penalty_l1"]


def test_the_result_is_the_restored_epochs(digits: Table) -> None:
    """Recomputed from the restored weights, loss and metrics agree with the curve at that epoch."""
    done = trained(digits, **SEED_NETWORK)
    result, best = done.result(), done.history.epochs[done.best_epoch - 1].values
    assert done.best_epoch < len(done.history)
    for split, prefix in (("train", "train_"), ("validation", "val_")):
        assert set(result[split]) == {"loss", "loss_se", "accuracy", "f1_macro"}
        for name, value in result[split].items():
            if name != "loss_se":
                assert value == pytest.approx(best[prefix + name], abs=1e-6)
    assert result["generalization_gap"] == pytest.approx(best["val_loss"] - best["train_loss"], abs=1e-6)
    assert set(result["test"]) == {"loss", "loss_se", "accuracy", "f1_macro"}


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_a_losss_standard_error_is_that_of_its_rows(name: str) -> None:
    """By NumPy, from what torch's own network answers to each row, for each of the three tasks."""
    done = trained(bundled(name), network={"hidden": [5]}, training={"max_epochs": 2})
    prepared, result = done.prepared, done.result()
    for split, rows in (
        ("train", prepared.train),
        ("validation", prepared.validation),
        ("test", prepared.test),
    ):
        assert rows is not None
        outputs = done.network(torch.from_numpy(rows.x).float()).detach().double().numpy()
        if prepared.task == "multiclass":
            losses = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(len(rows.y)), rows.y]
        elif prepared.task == "binary":
            losses = np.log1p(np.exp(outputs[:, 0])) - rows.y * outputs[:, 0]
        else:
            losses = (outputs[:, 0] - rows.y) ** 2
        expected = losses.std(ddof=1) / math.sqrt(len(losses))
        assert result[split]["loss_se"] == pytest.approx(expected, rel=1e-5)
        assert result[split]["loss"] == pytest.approx(losses.mean(), rel=1e-5)


def test_a_single_row_has_no_standard_error() -> None:
    given = table(np.arange(12.0).reshape(-1, 1), np.arange(12.0))
    result = trained(given, split={"validation": 1e-6, "test": 1e-6}, training={"max_epochs": 1}).result()
    assert "loss_se" in result["train"]
    assert "loss_se" not in result["validation"]
    assert "loss_se" not in result["test"]


# ── endings ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_every_split_is_measured_on_its_own_rows(name: str) -> None:
    """By torch's own network: what it takes each row for, and how many of its weights are zero."""
    settings = {"network": {"hidden": [5]}, "regularization": {"l1": 1e-2}, "metrics": ["accuracy"]}
    done = trained(bundled(name), training={"max_epochs": 2}, **settings)
    prepared, weights = done.prepared, [layer.weight for _, layer in done.network.linears()]
    assert prepared.validation is not None
    assert prepared.test is not None
    splits = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    for split, rows in splits.items():
        answers = done.network(torch.from_numpy(rows.x).float()).detach()
        taken = answers.argmax(1) if answers.shape[1] > 1 else (answers[:, 0] > 0).long()
        right = (taken.numpy() == rows.y).mean()
        assert done.result()[split]["accuracy"] == pytest.approx(right, abs=1e-9), split
    assert done.restored_epoch == 2
    zeros, count = sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
    assert 0 < zeros < count
    assert done.history.epochs[-1].values["sparsity"] == pytest.approx(zeros / count, abs=1e-12)


def test_early_stopping_ends_it_and_restores_the_best(digits: Table) -> None:
    done = trained(digits, **SEED_NETWORK)
    losses = [epoch.values["val_loss"] for epoch in done.history.epochs]
    assert done.stop_reason == "early_stopping"
    assert done.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 3
    assert done.stop_detail == f"val_loss has not improved for 3 epochs since epoch {done.best_epoch}"


def test_the_cap_ends_it_and_restores_the_best_too(digits: Table) -> None:
    memorizing = {
        "training": {"max_epochs": 40, "batch_size": 32},
        "optimizer": {"learning_rate": 0.01},
    } | OFF
    done = trained(digits, **memorizing)
    assert (done.stop_reason, len(done.history)) == ("max_epochs", 40)
    assert done.restored_epoch == done.best_epoch < 40
    assert done.result()["validation"]["loss"] == pytest.approx(
        min(epoch.values["val_loss"] for epoch in done.history.epochs), abs=1e-6
    )


def test_best_weights_may_be_left_alone(digits: Table) -> None:
    stopping = {"monitor": "val_loss", "patience": 3, "restore_best_weights": False}
    done = trained(digits, **SEED_NETWORK | {"regularization": {"early_stopping": stopping}})
    assert done.restored_epoch == len(done.history) == done.best_epoch + 3
    assert done.result()["validation"]["loss"] == pytest.approx(
        done.history.epochs[-1].values["val_loss"], abs=1e-6
    )


def test_the_first_monitor_judges_the_best_epoch(digits: Table) -> None:
    monitors = [{"metric": "val_accuracy", "patience": 4}, {"metric": "val_loss", "patience": 2}]
    done = trained(digits, **SEED_NETWORK | {"regularization": {"early_stopping": {"monitors": monitors}}})
    accuracies = [epoch.values["val_accuracy"] for epoch in done.history.epochs]
    assert done.best_epoch == int(np.argmax(accuracies)) + 1


def test_without_validation_rows_the_last_epoch_is_the_best(digits: Table) -> None:
    done = trained(digits, split={"validation": 0, "test": 0.2}, **SHORT | OFF)
    assert done.best_epoch == done.restored_epoch == 4
    assert "val_loss" not in done.history.epochs[0].values
    assert done.result()["validation"] is None
    assert done.result()["generalization_gap"] is None


def test_without_test_rows_the_test_is_null(digits: Table) -> None:
    assert trained(digits, split={"test": 0}, **SHORT).result()["test"] is None


def test_time_ends_it_with_a_result(digits: Table) -> None:
    settings = SEED_NETWORK | OFF | {"training": {"max_epochs": 100_000, "max_runtime_seconds": 0.2}}
    started = time.monotonic()
    done = trained(digits, **settings)
    assert time.monotonic() - started < 5
    assert done.stop_reason == "max_runtime"
    assert done.result()["validation"]["loss"] > 0


def test_time_is_looked_at_after_every_batch_however_seldom_the_caller_is_asked() -> None:
    many = table(np.random.default_rng(0).standard_normal((20_000, 3)), np.arange(20_000) % 2)
    limited = {"max_epochs": 9, "batch_size": 2, "max_runtime_seconds": 0.1}
    running = training(many, training=limited)
    for _ in running.stack.work(every=3600):
        pass
    assert running.stop_reason == "max_runtime"
    # An epoch has 7,500 batches, of which a limit of a tenth of a second lets some hundreds happen.
    assert running.runtime_seconds < 1


def test_divergence_is_an_outcome_and_the_best_weights_are_kept(digits: Table) -> None:
    settings = OFF | {
        "optimizer": {"kind": "sgd", "learning_rate": 100.0},
        "preprocessing": {"numeric": "none"},
    }
    done = trained(digits, **settings)
    assert done.stop_reason == "diverged"
    assert not math.isfinite(done.history.epochs[-1].values["objective"])


def test_divergence_after_good_epochs_restores_them(digits: Table) -> None:
    done = training(digits, **OFF, training={"max_epochs": 6})
    for epoch in done:
        if epoch.number == 3:
            with torch.no_grad():
                next(done.network.parameters()).fill_(math.nan)
    assert done.stop_reason == "diverged"
    assert len(done.history) == 4
    assert done.restored_epoch <= 3
    assert math.isfinite(done.result()["validation"]["loss"])


# ── asked from outside ──────────────────────────────────────────────────────────────────────────────────────


def test_finish_in_mid_epoch_closes_it_short_and_keeps_the_best(digits: Table) -> None:
    running = training(digits, **OFF)
    work = running.stack.work()
    for _ in itertools.islice(work, 5):
        pass
    last = running.finish()
    assert last is not None
    assert last.number == 1
    assert (running.stop_reason, running.restored_epoch) == ("finished", 1)
    assert running.result()["train"]["loss"] == pytest.approx(last.values["train_loss"], abs=1e-6)


def test_finish_before_anything_still_gives_a_result(digits: Table) -> None:
    running = training(digits, **OFF)
    assert running.finish() is not None
    assert running.result()["validation"]["loss"] > 0


def test_finish_between_epochs_adds_none(digits: Table) -> None:
    running = training(digits, **OFF)
    next(iter(running))
    assert running.finish() is None
    assert len(running.history) == 1


def test_ceasing_to_iterate_cancels_and_restore_gives_the_best_so_far(digits: Table) -> None:
    running = training(digits, **OFF, optimizer={"learning_rate": 0.02})
    for epoch in running:
        if epoch.number == 6:
            break
    running.restore()
    best = min(running.history.epochs, key=lambda epoch: epoch.values["val_loss"])
    assert running.result()["validation"]["loss"] == pytest.approx(best.values["val_loss"], abs=1e-6)


def test_long_epochs_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    wide = table(rng.standard_normal((3000, 50)), rng.integers(0, 2, 3000))
    running = training(
        wide, network={"hidden": [512, 512]}, training={"max_epochs": 1, "batch_size": 1}, **OFF
    )
    pulses = running.pulses()
    started = time.monotonic()
    assert next(pulses) is None
    assert time.monotonic() - started < 1.5


# ── determinism ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_curve_and_weights_bit_for_bit(digits: Table) -> None:
    first, second = trained(digits, **SHORT), trained(digits, **SHORT)
    assert curve(first) == curve(second)
    assert all(
        torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True)
    )


def test_another_seed_gives_another_curve(digits: Table) -> None:
    other = SHORT | {"training": SHORT["training"] | {"seed": 1}}
    assert curve(trained(digits, **SHORT)) != curve(trained(digits, **other))


def test_nothing_draws_from_the_global_random_state(digits: Table) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    trained(digits, **SHORT)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_changing_a_test_row_changes_no_weight() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 5)), rng.integers(0, 2, 200)
    done = trained(table(x, y), **SHORT)
    changed = x.copy()
    from models.splits import split_rows

    changed[split_rows(done.spec.split, table(x, y)).test] *= 1000
    again = trained(table(changed, y), **SHORT)
    assert all(
        torch.equal(a, b) for a, b in zip(weights(done).values(), weights(again).values(), strict=True)
    )
    assert done.result()["test"] != again.result()["test"]


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rows", "size"), [(10, 3), (9, 3), (10, 100), (1, 5), (33, 32), (65, 32), (2, 1)])
def test_batches_cover_every_row_once_and_none_has_one_row_alone(rows: int, size: int) -> None:
    bounds = batch_bounds(rows, size)
    assert [row for start, end in bounds for row in range(start, end)] == list(range(rows))
    if rows > 1 and size > 1:
        assert all(end - start > 1 for start, end in bounds)


# ── does it learn, does it regularize ───────────────────────────────────────────────────────────────────────


def test_eight_rows_are_memorized() -> None:
    rng = np.random.default_rng(0)
    eight = table(rng.standard_normal((8, 10)), np.array([0, 1, 1, 0, 0, 1, 0, 1]))
    settings = {
        "split": ALL_ROWS,
        "network": {"hidden": [32, 32]},
        "training": {"max_epochs": 200, "batch_size": 8},
    }
    assert (
        trained(eight, **settings, **OFF, optimizer={"learning_rate": 0.01}).result()["train"]["accuracy"]
        == 1.0
    )


def test_input_dropout_on_a_linear_regression_tends_to_ridge() -> None:
    """In expectation E‖y − (m∘x)w/(1−p)‖²/n = ‖y − xw‖²/n + p/(1−p)·‖w‖² on standardized columns."""
    rng = np.random.default_rng(0)
    n, rate = 400, 0.3
    x = rng.standard_normal((n, 8))
    x = (x - x.mean(0)) / x.std(0)
    y = x @ np.linspace(-2, 2, 8) + rng.standard_normal(n)
    settings: dict[str, Any] = {
        "split": ALL_ROWS,
        "preprocessing": {"numeric": "none", "target": "none"},
        "network": {"hidden": []},
        "regularization": {"dropout": {"input": rate}},
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.0, "schedule": "cosine"},
        "training": {"max_epochs": 1000, "batch_size": n},
        "metrics": [],
    }
    found, _ = coefficients(trained(table(x, y), **settings))
    penalty = n * rate / (1 - rate)
    ridge = np.linalg.solve(x.T @ x + penalty * np.eye(8), x.T @ (y - y.mean()))
    np.testing.assert_allclose(found[0], ridge, atol=0.02)
    assert np.abs(found[0]).sum() < 0.8 * np.abs(np.linalg.lstsq(x, y, rcond=None)[0]).sum()


@pytest.mark.long
def test_regularization_does_its_work_on_shuffled_labels(digits: Table) -> None:
    """40 % of the training labels are wrong: plain training memorizes them, regularized training does not."""
    x, y = digits.frame.select(list(digits.columns)).to_numpy(), digits.target
    rng = np.random.default_rng(0)
    clean = rng.permutation(len(y))[:400]
    rest = np.setdiff1d(np.arange(len(y)), clean)
    wrong = y.copy()
    shuffled = rng.permutation(rest)[: int(0.4 * len(rest))]
    wrong[shuffled] = rng.permutation(y[shuffled])
    noisy = table(x[rest], wrong[rest])

    def clean_accuracy(done: Training) -> float:
        inputs = _inputs(done, noisy, x[clean])
        with torch.no_grad():
            return (done.network(inputs).argmax(1).numpy() == y[clean]).mean()

    common = {
        "split": {"validation": 0.2, "test": 0},
        "network": {"hidden": [256, 128]},
        "optimizer": {"learning_rate": 1e-3},
        "training": {"max_epochs": 200, "batch_size": 32},
    }
    keep_last = {"monitor": "val_loss", "patience": 1000, "restore_best_weights": False}
    plain = trained(noisy, **common, regularization={"early_stopping": keep_last})
    stopped = trained(
        noisy, **common, regularization={"early_stopping": {"monitor": "val_loss", "patience": 10}}
    )
    cocktail = {"dropout": 0.5, "early_stopping": {"monitor": "val_loss", "patience": 10}}
    dropped = trained(noisy, **common, regularization=cocktail)
    assert plain.result()["train"]["accuracy"] > 0.99
    assert clean_accuracy(plain) < 0.75
    assert clean_accuracy(stopped) > clean_accuracy(plain) + 0.1
    assert clean_accuracy(dropped) > clean_accuracy(plain) + 0.12


def _inputs(done: Training, data: Table, x: np.ndarray) -> torch.Tensor:
    from models.preprocessing import prepare

    fitted = prepare(done.spec, data).preprocessor
    columns = {f"x{index}": x[:, index] for index in range(x.shape[1])}
    return torch.from_numpy(fitted.transform(columns)).float()
