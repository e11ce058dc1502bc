"""Networks trained together: each as if it were alone, to the last bit, whoever comes and goes beside it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from models import checkpoints
from models.datasets import bundled
from models.preprocessing import prepare
from models.stacking import MOST_MEMBERS, stack_key, stack_limit
from models.stacks import Stack
from models.training import Training
from tests.models.company import alone, assert_equal, begun, data, everything, specs, together

COCKTAIL: dict[str, Any] = {"l2": 1e-3, "batch_norm": True}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """As workers have it: with more, kernels divide their work by how much there is."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def own(count: int, batch_size: int) -> list[dict[str, Any]]:
    """Members that differ in all that they may differ in."""
    return [
        {
            "training": {"max_epochs": 3 + number % 3, "batch_size": batch_size, "seed": number},
            "optimizer": {
                "learning_rate": [0.003, 0.01][number % 2],
                "weight_decay": [0.0, 0.1, 0.0][number % 3],
                "schedule": ["constant", "cosine", "one_cycle"][number % 3],
            },
            "regularization": COCKTAIL
            | {
                "l1": [None, 1e-3, {"strength": 1e-2, "scope": "input", "feature_weights": {"x0": 3.0}}][
                    number % 3
                ],
                "l2": [1e-3, None][number % 2],
                "dropout": [None, 0.5, {"input": 0.2, "hidden": 0.1}][number % 3],
                "early_stopping": [None, {"monitor": "val_loss", "patience": 1}][number % 2],
            },
        }
        for number in range(count)
    ]


# ── a member is as it would be alone ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("hidden", [[64, 32], [10, 7], [100], [3], []], ids=str)
def test_a_member_is_itself_alone_bit_for_bit(task: str, hidden: list[int]) -> None:
    given = data(task)
    chosen = specs(given, {"network": {"hidden": hidden}}, own(5, 13))
    assert_equal(together(chosen, given), alone(chosen, given))


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"])
@pytest.mark.parametrize("batch_norm", [True, None])
def test_whatever_the_activation(activation: str, batch_norm: bool | None) -> None:
    given = data("binary")
    network = {"network": {"hidden": [9], "activation": activation}}
    asked = [
        {**each, "regularization": each["regularization"] | {"batch_norm": batch_norm}} for each in own(4, 13)
    ]
    chosen = specs(given, network, asked)
    assert_equal(together(chosen, given), alone(chosen, given))


@pytest.mark.parametrize(
    "optimizer",
    [{"kind": "sgd"}, {"kind": "sgd", "momentum": 0.0}, {"kind": "sgd", "nesterov": True}],
    ids=str,
)
def test_whatever_the_optimizer(optimizer: dict[str, Any]) -> None:
    given = data("multiclass")
    asked = [{**each, "optimizer": each["optimizer"] | optimizer} for each in own(4, 32)]
    chosen = specs(given, {"network": {"hidden": [12]}}, asked)
    assert_equal(together(chosen, given), alone(chosen, given))


def test_sixteen_of_a_cocktail() -> None:
    given = bundled("breast_cancer")
    asked = [
        {
            "regularization": COCKTAIL | {"l1": 1e-5 * 4**number, "dropout": [0.1 + 0.05 * number, 0.3]},
            "training": {"max_epochs": 4, "batch_size": 64, "seed": number // 4},
        }
        for number in range(16)
    ]
    chosen = specs(given, {"network": {"hidden": [64, 64]}}, asked)
    found = together(chosen, given)
    assert_equal(found, alone(chosen, given))
    sparsities = [one.history.epochs[-1].values["sparsity"] for one in found]
    assert sparsities[0] < 0.05 < sparsities[-1], "the strengths are each member's own"


def test_the_full_batch_too() -> None:
    given = data("regression")
    chosen = specs(given, {"network": {"hidden": [6]}}, own(4, 1000))
    assert_equal(together(chosen, given), alone(chosen, given))


def test_every_metric_is_the_members_own() -> None:
    from models.metrics import METRICS

    for task in ("binary", "multiclass", "regression"):
        names = [name for name, metric in METRICS.items() if task in metric.tasks]
        given = data(task)
        chosen = specs(given, {"network": {"hidden": [8]}, "metrics": names}, own(3, 32))
        assert_equal(together(chosen, given), alone(chosen, given))


# ── coming to an end, each at its own time ──────────────────────────────────────────────────────────────────


def test_those_who_stop_leave_and_the_others_close_ranks() -> None:
    given = data("multiclass")
    asked = [
        {"training": {"max_epochs": 2 + number, "batch_size": 16, "seed": number}} for number in range(4)
    ]
    trainings = begun(specs(given, {"network": {"hidden": [8]}}, asked), given)
    stack = Stack(trainings)
    ends = (measured for measured in stack.pulses() if measured)
    seen = [(len(measured), len(stack.members), len(stack.seats)) for measured in ends]
    assert seen == [(4, 4, 4), (4, 3, 3), (3, 2, 2), (2, 1, 1), (1, 0, 1)]


def test_a_member_that_diverges_disturbs_nobody() -> None:
    given = data("regression")
    sgd = {"optimizer": {"kind": "sgd"}, "training": {"max_epochs": 6, "batch_size": 16}}
    asked = [
        sgd,
        {**sgd, "optimizer": {"kind": "sgd", "learning_rate": 90.0}},
        {**sgd, "regularization": {"l1": 1e-3}},
    ]
    chosen = specs(given, {"network": {"hidden": [16, 16]}, "regularization": {}}, asked)
    found = together(chosen, given)
    assert [one.stop_reason for one in found] == ["max_epochs", "diverged", "max_epochs"]
    expected = alone(chosen, given)
    assert_equal(found[::2], expected[::2])
    # Its own last weights may differ: a strength of 0, which others' techniques bring, times infinity.
    assert everything(found[1])["ending"] == everything(expected[1])["ending"]
    assert [epoch.values["penalty_l1"] for epoch in found[1].history.epochs] == [0.0] * len(found[1].history)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_of_weights_that_are_no_numbers_none_is_zero(task: str) -> None:
    """The idle second row of a single output is nobody's, whatever becomes of it."""
    given = data(task)
    wild = {"optimizer": {"kind": "sgd", "learning_rate": 100.0}, "regularization": {"l2": 1e6}}
    (found,) = alone(specs(given, {"network": {"hidden": [8]}}, [wild]), given)
    assert found.stop_reason == "diverged"
    assert all(0 <= epoch.values["sparsity"] <= 1 for epoch in found.history.epochs)


def test_a_member_whose_time_is_up_ends_and_the_others_go_on() -> None:
    given = data("binary")
    short = {"max_epochs": 100_000, "batch_size": 16, "max_runtime_seconds": 0.2}
    asked = [{"training": short}, {"training": {"max_epochs": 30, "batch_size": 16}}]
    chosen = specs(given, {"network": {"hidden": [8]}, "regularization": {}}, asked)
    hurried, other = together(chosen, given)
    assert hurried.stop_reason == "max_runtime"
    assert hurried.result()["validation"]["loss"] > 0
    assert_equal([other], alone(chosen[1:], given))


# ── taken out by whoever drives the loop ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at", [0, 1, 2, 5, 6, 7, 11])
def test_a_member_taken_out_anywhere_and_the_others_end_as_they_would_have(at: int) -> None:
    given = data("multiclass")
    chosen = specs(given, {"network": {"hidden": [10]}}, own(4, 13))
    trainings = begun(chosen, given)
    stack = Stack(trainings)
    work = stack.work()
    for _ in itertools.islice(work, at):
        pass
    stack.release(trainings[1])
    assert trainings[1] not in stack.seats
    for _ in work:
        pass
    assert len(list(trainings[1].pulses())) > 0
    assert_equal(trainings, alone(chosen, given))


@pytest.mark.parametrize("how", ["released", "finished"])
def test_one_of_five_leaves_in_mid_epoch_and_nobody_is_off_by_a_bit(how: str) -> None:
    """455 rows in batches of 32 leave 7: what fills up the vectors of five does not fill those of four."""
    given = data("binary", rows=569, columns=30)
    cocktail = {"l1": 1e-5, "l2": 1e-4, "batch_norm": True, "dropout": {"input": 0.1, "hidden": 0.3}}
    asked = [{"training": {"max_epochs": 6, "batch_size": 32, "seed": number}} for number in range(5)]
    shared = {"network": {"hidden": [64, 64]}, "split": {"test": 0}, "regularization": cocktail}
    chosen = specs(given, shared, asked)
    trainings = begun(chosen, given)
    assert len(trainings[0].data.train) == 455
    stack = Stack(trainings)
    work = stack.work()
    for _ in itertools.islice(work, 7):
        pass
    if how == "released":
        stack.release(trainings[1])
    else:
        trainings[1].finish()
    for _ in itertools.chain(work, trainings[1].pulses()):
        pass
    expected = alone(chosen, given)
    assert_equal([trainings[0], *trainings[2:]], [expected[0], *expected[2:]])
    if how == "released":
        assert_equal([trainings[1]], [expected[1]])


def test_a_member_finished_in_mid_epoch_is_measured_there() -> None:
    given = data("binary")
    chosen = specs(given, {"network": {"hidden": [8]}}, own(3, 13))
    trainings, (_, expected, _) = begun(chosen, given), begun(chosen, given)
    work, own_work = Stack(trainings).work(), expected.stack.work()
    for _ in range(7):
        next(work)
        next(own_work)
    last, theirs = trainings[1].finish(), expected.finish()
    assert last is not None
    assert theirs is not None
    assert last.values["objective"] == theirs.values["objective"]
    assert trainings[1].stop_reason == "finished"
    assert_equal([trainings[1]], [expected])
    assert [training in trainings[0].stack.members for training in trainings] == [True, False, True]


@pytest.mark.parametrize("at", [1, 4, 6, 9])
def test_a_checkpoint_of_a_member_goes_on_alone_to_the_same_end(at: int, tmp_path: Path) -> None:
    given = data("binary")
    chosen = specs(given, {"network": {"hidden": [8, 5]}}, own(4, 13))
    trainings = begun(chosen, given)
    stack = Stack(trainings)
    work = stack.work()
    for _ in itertools.islice(work, at):
        pass
    for number, training in enumerate(trainings):
        checkpoints.save(tmp_path / str(number), training)
    for _ in work:
        pass
    resumed = begun(chosen, given)
    for number, training in enumerate(resumed):
        training.resume(checkpoints.load(tmp_path / str(number)))
        list(training)
    expected = alone(chosen, given)
    assert_equal(trainings, expected)
    assert_equal(resumed, expected)


def test_a_member_taken_out_while_all_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.evaluation.CHUNK_ROWS", 16)
    given = data("binary")
    chosen = specs(given, {"network": {"hidden": [8]}}, own(3, 13))
    trainings = begun(chosen, given)
    work = Stack(trainings).work()
    batches = len(trainings[0].stack.batches)
    for _ in range(batches + 2):  # two chunks into the measuring of the first epoch
        next(work)
    assert not trainings[0].history
    trainings[0].stack.release(trainings[2])
    for _ in work:
        pass
    list(trainings[2])
    assert_equal(trainings, alone(chosen, given))


# ── who may ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_those_who_differ_in_what_is_shared_are_refused() -> None:
    given = data("binary")
    one, wider = specs(given, {}, [{"network": {"hidden": [8]}}, {"network": {"hidden": [9]}}])
    prepared = prepare(one, given)
    with pytest.raises(ValueError, match="differ"):
        Stack([Training(one, prepared), Training(wider, prepared)])
    with pytest.raises(ValueError, match="differ"):
        Stack([Training(one, prepared), Training(one, prepare(one, given))])
    old = Training(one, prepared)
    next(iter(old))
    with pytest.raises(ValueError, match="begun"):
        Stack([old, Training(one, prepared)])
    with pytest.raises(ValueError, match="begun"):
        Stack([old])


SHARED: list[dict[str, Any]] = [
    {"split": {"seed": 1}},
    {"preprocessing": {"numeric": "robust"}},
    {"network": {"hidden": [9]}},
    {"network": {"hidden": [8], "activation": "tanh"}},
    {"regularization": {"batch_norm": True}},
    {"optimizer": {"kind": "sgd"}},
    {"optimizer": {"betas": [0.8, 0.9]}},
    {"training": {"batch_size": 8}},
    {"training": {"device": "cpu"}},
    {"metrics": ["accuracy"]},
]
OWN: list[dict[str, Any]] = [
    {"training": {"seed": 5, "max_epochs": 7, "max_runtime_seconds": 9}},
    {"optimizer": {"learning_rate": 0.5, "schedule": "cosine", "warmup_epochs": 1}},
    {"optimizer": {"kind": "adamw"}},
    {"regularization": {"l1": 0.1, "l2": 0.1, "dropout": 0.5, "early_stopping": True}},
    {"name": "other", "metadata": {"a": 1}, "priority": 3},
]


def key(**asked: Any) -> str | None:
    base = {"network": {"hidden": [8]}, "regularization": {}, "training": {"batch_size": 16, "max_epochs": 5}}
    for name, part in asked.items():
        base[name] = {**base.get(name, {}), **part} if isinstance(part, dict) else part
    (chosen,) = specs(data("binary"), base, [{}])
    return stack_key(chosen)


@pytest.mark.parametrize("asked", SHARED, ids=str)
def test_what_a_stack_shares_is_in_the_key(asked: dict[str, Any]) -> None:
    assert key(**asked) != key()


@pytest.mark.parametrize("asked", OWN, ids=str)
def test_what_is_a_members_own_is_not(asked: dict[str, Any]) -> None:
    assert key(**asked) == key()


def test_fista_goes_alone() -> None:
    assert key(network={"hidden": []}, optimizer={"kind": "fista"}, training={"batch_size": 1000}) is None


def test_large_networks_are_not_stacked_and_small_ones_not_beyond_measure() -> None:
    assert stack_limit(1) == MOST_MEMBERS
    assert stack_limit(10**9) == 1
    assert math.isclose(stack_limit(50_000) * 50_000 * 16, 8 * 2**20, rel_tol=0.1)
