"""A training that is broken off and resumed ends as if nothing had happened; damaged files are refused."""

from __future__ import annotations

import itertools
import json
import math
import random
import struct
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models import checkpoints
from models.checkpoints import Checkpoint
from models.datasets import Table
from models.defaults import complete
from models.errors import CheckpointError
from models.history import Epoch, History
from models.preprocessing import Prepared, prepare
from models.regularizers import Regularization
from models.spec import JobSpec, OptimizerSpec
from models.training import Training
from tests.models.building import table, training

EPOCHS = 4

SMALL: dict[str, Any] = {
    "network": {"hidden": [6, 5]},
    "regularization": {},
    "training": {"max_epochs": EPOCHS, "batch_size": 14},
}
"""Three batches an epoch."""

TECHNIQUES: dict[str, list[Any]] = {
    "l1": [1e-2, {"strength": 1e-2, "scope": "input", "feature_weights": {"x0": 3.0}}],
    "l2": [1e-2, {"strength": 1e-2, "feature_weights": {"x1": 0.0}}],
    "dropout": [0.3, {"input": 0.2, "hidden": [0.4, 0.1]}],
    "batch_norm": [True],
    "early_stopping": [
        {"monitor": "val_loss", "patience": 1},
        {
            "monitors": [{"metric": "val_loss", "patience": 1}, {"metric": "val_accuracy", "patience": 3}],
            "combine": "any",
            "min_epochs": 3,
        },
        {"monitor": "val_loss", "patience": 2, "restore_best_weights": False},
    ],
}
"""Settings of each technique, each to be resumed by itself."""

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "adam": [{}, {"betas": [0.8, 0.95], "weight_decay": 0.1}],
    "adamw": [{}],
    "sgd": [{}, {"momentum": 0.0}, {"nesterov": True}],
    "fista": [{}],
}

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine": {},
    "one_cycle": {},
    "reduce_on_plateau": {"plateau_patience": 1, "learning_rate": 0.3},
}

COCKTAIL: dict[str, Any] = {
    "regularization": {
        "l1": 1e-3,
        "l2": 1e-3,
        "dropout": {"input": 0.1, "hidden": 0.3},
        "batch_norm": True,
        "early_stopping": {"monitor": "val_loss", "patience": 2},
    }
}
FULL: dict[str, Any] = {"training": {"max_epochs": EPOCHS, "batch_size": 1000}}
LINEAR: dict[str, Any] = {"network": {"hidden": []}}
EXACT: dict[str, Any] = LINEAR | {"training": {"max_epochs": EPOCHS}}


def _cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, task, settings)"""
    for name, every in TECHNIQUES.items():
        for number, one in enumerate(every):
            yield f"{name}-{number}", "multiclass", {"regularization": {name: one}}
    for kind, every in OPTIMIZERS.items():
        for number, one in enumerate(every):
            own = {"optimizer": {"kind": kind, **one}} | (EXACT if kind == "fista" else {})
            yield f"{kind}-{number}", "binary", own | {"regularization": {"l1": 1e-2, "l2": 1e-2}}
    for schedule, one in SCHEDULES.items():
        yield schedule, "regression", {"optimizer": {"kind": "sgd", "schedule": schedule, **one}}
        yield (
            f"{schedule}-warm",
            "binary",
            {"optimizer": {"schedule": schedule, "warmup_epochs": 2, **one}} | COCKTAIL,
        )
    for task in ("binary", "multiclass", "regression"):
        yield f"cocktail-{task}", task, COCKTAIL
        yield f"cocktail-full-{task}", task, COCKTAIL | FULL
        yield f"linear-{task}", task, LINEAR | {"regularization": {"l1": 1e-2, "dropout": {"input": 0.3}}}
    yield "no-validation", "multiclass", {"split": {"validation": 0, "test": 0}}
    yield "no-preprocessing", "regression", {"preprocessing": {"numeric": "none", "target": "none"}}
    yield "diverging", "regression", {"optimizer": {"kind": "sgd", "learning_rate": 90.0}}
    long = {"optimizer": {"kind": "fista"}, "regularization": {"l2": 1e-1}, "training": {"max_epochs": 99}}
    yield "fista-to-the-end", "binary", LINEAR | long


CASES = {name: (task, SMALL | asked) for name, task, asked in _cases()}


@cache
def data(task: str) -> Table:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((66, 4))
    signal = x @ np.array([1.0, -2.0, 0.5, 0.0]) + rng.standard_normal(66)
    if task == "regression":
        return table(x, 40 + 7 * signal)
    return table(x, np.digitize(signal, [0.0] if task == "binary" else [-1.0, 1.0]))


@cache
def prepared(case: str) -> tuple[JobSpec, Prepared]:
    task, asked = CASES[case]
    spec = complete(JobSpec.model_validate({"dataset": "given", **asked}), data(task).description).spec
    return spec, prepare(spec, data(task))


def begin(case: str) -> Training:
    return Training(*prepared(case))


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def raw(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tuple(tensor.shape), tensor.detach().reshape(-1).view(torch.uint8).numpy().tobytes()


def everything(running: Training) -> dict[str, Any]:
    """All that can be known of a training, to the last bit, but for how long it took."""
    curve = [
        {name: bits(value) for name, value in epoch.values.items() if name != "epoch_seconds"}
        for epoch in running.history.epochs
    ]
    hidden = {
        f"{part}/{name}": raw(value) if isinstance(value, torch.Tensor) else value
        for part, values in running.state().items()
        for name, value in values.items()
        if part != "history" and name not in ("seconds", "runtime_seconds")
    }
    return {
        "curve": curve,
        "network": {name: raw(tensor) for name, tensor in running.network.state_dict().items()},
        "modes": [module.training for module in running.network.modules()],
        "ending": (running.stop_reason, running.stop_detail, running.best_epoch, running.restored_epoch),
        **hidden,
    }


def told(result: dict[str, Any]) -> str:
    return json.dumps(result)


def to_its_end(running: Training) -> Training:
    for _ in running:
        pass
    return running


def advance(running: Training, pulses: int) -> None:
    """Through so many batches and epochs' ends, and leave it there."""
    for _ in itertools.islice(running.stack.work(), pulses):
        pass


def through_a_file(running: Training, case: str, path: Path) -> Training:
    """The same training in what might be another process."""
    checkpoints.save(path, running)
    again = begin(case)
    again.resume(checkpoints.load(path))
    return again


@cache
def undisturbed(case: str) -> tuple[dict[str, Any], str, int]:
    """How it ends, its result, and how many batches and epochs' ends it has."""
    running = begin(case)
    pulses = sum(1 for _ in running.stack.work())
    return everything(running), told(running.result()), pulses


def assert_ends_undisturbed(running: Training, case: str) -> None:
    expected, result, _ = undisturbed(case)
    ended = everything(to_its_end(running))
    assert {name for name in expected if expected[name] != ended.get(name)} == set()
    assert ended.keys() == expected.keys()
    assert told(running.result()) == result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a checkpoint"


# ── going on ────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_technique_optimizer_and_schedule_is_among_the_cases() -> None:
    assert set(TECHNIQUES) == set(Regularization.model_fields)
    assert set(OPTIMIZERS) == set(get_args(OptimizerSpec.model_fields["kind"].annotation))
    assert set(SCHEDULES) == set(get_args(OptimizerSpec.model_fields["schedule"].annotation))
    endings = {undisturbed(case)[0]["ending"][0] for case in CASES}
    assert endings == {"max_epochs", "early_stopping", "converged", "diverged"}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_in_a_new_process_after_every_single_batch(case: str, path: Path) -> None:
    """A chain: after each batch, and at each epoch's end, it goes through a file into a fresh object."""
    running, pulses = begin(case), undisturbed(case)[2]
    for _ in range(pulses):
        running = through_a_file(running, case, path)
        advance(running, 1)
    assert_ends_undisturbed(through_a_file(running, case, path), case)


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_from_anywhere(case: str, path: Path) -> None:
    """After the first batch, in mid-training, after the last; there twice from one file."""
    pulses = undisturbed(case)[2]
    for at, times in ((1, 1), (pulses // 2 + 1, 1), (pulses, 2)):
        running = begin(case)
        advance(running, at)
        checkpoints.save(path, running)
        checkpoint = checkpoints.load(path)
        for _ in range(times):
            again = begin(case)
            again.resume(checkpoint)
            assert_ends_undisturbed(again, case)


@settings(max_examples=15, deadline=None)
@given(case=st.sampled_from(sorted(CASES)), hops=st.lists(st.integers(0, 9), max_size=5))
def test_it_may_be_broken_off_anywhere_any_number_of_times(
    case: str, hops: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("checkpoints") / "c"
    running = begin(case)
    for pulses in hops:
        advance(running, pulses)
        running = through_a_file(running, case, path)
    assert_ends_undisturbed(running, case)


@pytest.mark.parametrize("case", ["cocktail-multiclass", "fista-0", "sgd-2", "early_stopping-1"])
def test_what_was_saved_goes_on_undisturbed(case: str, path: Path) -> None:
    running = begin(case)
    for _ in running.stack.work():
        before = everything(running)
        checkpoints.save(path, running)
        assert everything(running) == before
    assert_ends_undisturbed(running, case)


def test_one_object_goes_on_with_its_epoch_when_it_is_iterated_again() -> None:
    running = begin("cocktail-multiclass")
    for pulses in (3, 1, 6, 2):
        advance(running, pulses)
    assert_ends_undisturbed(running, "cocktail-multiclass")


def test_a_checkpoint_overrides_whatever_was_done_before(path: Path) -> None:
    """Where the newest file is damaged, the same object takes the one before."""
    running, other = begin("cocktail-multiclass"), begin("cocktail-multiclass")
    checkpoints.save(path, running)
    to_its_end(other)
    other.resume(checkpoints.load(path))
    assert_ends_undisturbed(other, "cocktail-multiclass")


def test_saving_in_the_midst_of_measuring_is_saving_before_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.evaluation.CHUNK_ROWS", 16)
    running = begin("cocktail-multiclass")
    advance(running, 3 + 1)
    assert (running.batch, len(running.history)) == (3, 0)
    checkpoints.save(path, running)
    assert checkpoints.load(path).batch == 3
    assert_ends_undisturbed_in_chunks = everything(to_its_end(begin("cocktail-multiclass")))
    for one in (running, through_a_file(running, "cocktail-multiclass", path)):
        assert everything(to_its_end(one)) == assert_ends_undisturbed_in_chunks


def test_it_may_be_finished_from_a_checkpoint(path: Path) -> None:
    running = begin("cocktail-multiclass")
    advance(running, 9)
    again = through_a_file(running, "cocktail-multiclass", path)
    last, expected = again.finish(), running.finish()
    assert last is not None
    assert expected is not None
    assert all(
        everything(again)[what] == everything(running)[what] for what in ("curve", "network", "ending")
    )
    assert again.result() == running.result()


def test_it_says_how_far_it_had_come(path: Path) -> None:
    running = begin("cocktail-multiclass")
    batches = len(running.stack.batches)
    seen = []
    for pulses in (0, 1, 1, batches - 2, 1, 1):
        advance(running, pulses)
        checkpoints.save(path, running)
        checkpoint = checkpoints.load(path)
        seen.append((checkpoint.epoch, checkpoint.batch))
        assert (len(running.history), running.batch) == seen[-1]
        assert checkpoint.runtime_seconds == pytest.approx(running.runtime_seconds, abs=0.5)
    assert seen == [(0, 0), (0, 1), (0, 2), (0, batches), (1, 0), (1, 1)]


PARTS = ["network", "stepper", "batches", "dropout", "best", "epoch"]


@pytest.mark.parametrize("part", PARTS)
def test_no_part_can_be_done_without(part: str, path: Path) -> None:
    """With one part as it is at the beginning it ends otherwise: each is needed, and each is compared."""
    case = "reduce_on_plateau-warm"
    running = begin(case)
    advance(running, 3 * undisturbed(case)[2] // EPOCHS - 2)
    assert running.best_epoch is not None
    checkpoints.save(path, running)
    checkpoint, again = checkpoints.load(path), begin(case)
    checkpoint.state[part].clear()
    checkpoint.state[part].update(begin(case).state()[part])
    again.resume(checkpoint)
    assert everything(to_its_end(again)) != undisturbed(case)[0]
    assert set(PARTS) | {"history", "ending"} == set(running.state())


# ── the curve ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_curve_keeps_what_is_not_a_number(path: Path) -> None:
    odd = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2, 1e308]
    running = begin("adam-0")
    for number, value in enumerate(odd, start=1):
        running.history.append(Epoch(number, {"objective": value, "train_loss": -value}))
    checkpoints.save(path, running)
    again = begin("adam-0")
    again.resume(checkpoints.load(path))
    for kept, epoch in zip(again.history.epochs, running.history.epochs, strict=True):
        assert kept.number == epoch.number
        assert list(kept.values) == ["objective", "train_loss"]
        assert list(map(bits, kept.values.values())) == list(map(bits, epoch.values.values()))


def test_a_long_curve_is_quickly_saved_and_read(path: Path) -> None:
    running = begin("adam-0")
    values = {f"series_{number}": number / 7 for number in range(12)}
    running.history = History([Epoch(number, values) for number in range(1, 30_001)])
    started = time.process_time()
    checkpoints.save(path, running)
    again = begin("adam-0")
    again.resume(checkpoints.load(path))
    assert time.process_time() - started < 1.5
    assert again.history.epochs[-1] == Epoch(30_000, values)


def test_a_file_is_as_large_as_what_it_holds(path: Path) -> None:
    wide = table(np.random.default_rng(0).standard_normal((60, 40)), np.arange(60) % 3)
    running = training(wide, **SMALL | {"network": {"hidden": [300, 300]}})
    next(iter(running))
    checkpoints.save(path, running)
    weights, moments, best = 1, 2, 1
    held = 4 * running.network.parameter_count() * (weights + moments + best)
    assert held < path.stat().st_size < held + 20_000


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def timed(limit: float, *, spent: float = 0.0, epochs: int = 100_000) -> Training:
    asked = SMALL | {
        "training": {"max_epochs": epochs, "batch_size": 8, "max_runtime_seconds": limit},
        "network": {"hidden": [6]},
    }
    prepared_by = training(data("multiclass"), **asked)
    return Training(prepared_by.spec, prepare(prepared_by.spec, data("multiclass")), spent_seconds=spent)


@pytest.mark.parametrize("pulses", [6, 8, 18])
def test_a_training_whose_time_is_up_ends_at_once_with_its_best_weights(
    pulses: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = timed(1000.0)
    advance(running, pulses)
    now = time.monotonic
    monkeypatch.setattr("models.clock.time", SimpleNamespace(monotonic=lambda: now() + 1000.5))
    checkpoints.save(path, running)
    checkpoint, again = checkpoints.load(path), timed(1000.0)
    assert checkpoint.runtime_seconds >= 1000.5
    again.resume(checkpoint)
    begun = checkpoint.batch > 0
    assert len(list(again.pulses())) == int(begun)
    assert (again.stop_reason, again.stop_detail) == ("max_runtime", "1000 seconds were up")
    assert len(again.history) == checkpoint.epoch + begun
    best = again.history.epochs[again.best_epoch - 1].values["val_loss"]
    assert best == min(epoch.values["val_loss"] for epoch in again.history.epochs)
    assert again.result()["validation"]["loss"] == pytest.approx(best, abs=1e-6)


def test_time_that_a_lost_attempt_has_spent_counts() -> None:
    none_left = timed(1000.0, spent=1000.5)
    assert [epoch.number for epoch in none_left] == [1]
    assert none_left.stop_reason == "max_runtime"
    assert none_left.history.epochs[0].values["objective"] == pytest.approx(
        none_left.history.epochs[0].values["train_loss"]
    )
    assert none_left.result()["test"] is not None
    some_left = timed(1000.0, spent=999.0, epochs=2)
    assert len(list(some_left)) == 2
    assert some_left.stop_reason == "max_epochs"
    assert 999 < some_left.runtime_seconds < 1000


def test_runtime_is_that_of_all_attempts_and_stands_still_at_the_end(path: Path) -> None:
    assert begin("adam-0").runtime_seconds == 0
    first = timed(1000.0, spent=50.0)
    advance(first, 8)
    checkpoints.save(path, first)
    second = timed(1000.0)
    second.resume(checkpoints.load(path))
    assert second.runtime_seconds == pytest.approx(50, abs=5)
    assert second.runtime_seconds > 50
    # The row knows of time after the checkpoint that was lost; it holds the time before it too.
    third = timed(1000.0, spent=70.0, epochs=100_000)
    third.resume(checkpoints.load(path))
    assert third.runtime_seconds == pytest.approx(70, abs=5)
    advance(third, 1)
    third.finish()
    stood = third.runtime_seconds
    time.sleep(0.02)
    assert third.runtime_seconds == stood
    assert third.history.epochs[-1].values["epoch_seconds"] < 10


# ── what does not belong ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def good(path: Path) -> Path:
    running = begin("cocktail-multiclass")
    advance(running, 9)
    checkpoints.save(path, running)
    return path


def changed_spec(**changed: Any) -> Training:
    task, asked = CASES["cocktail-multiclass"]
    return training(data(task), **asked | changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": {"hidden": [6, 6]}}, "another spec: network differ"),
        ({"network": {"hidden": [6, 5], "activation": "tanh"}}, "another spec: network differ"),
        ({"optimizer": {"kind": "sgd"}}, "another spec: optimizer differ"),
        ({"training": {"max_epochs": 5, "batch_size": 14}}, "another spec: training differ"),
        ({"training": {"max_epochs": EPOCHS, "batch_size": 14, "seed": 1}}, "another spec: training differ"),
        ({"regularization": {}}, "another spec: regularization differ"),
        ({"split": {"seed": 1}}, "another spec: split differ"),
    ],
)
def test_another_spec_is_refused_and_the_training_left_alone(
    changed: dict[str, Any], said: str, good: Path
) -> None:
    other = changed_spec(**changed)
    before = everything(other)
    with pytest.raises(CheckpointError, match=said):
        other.resume(checkpoints.load(good))
    assert everything(other) == before


def test_labels_of_a_spec_may_change(good: Path) -> None:
    renamed = changed_spec(name="again", priority=7, metadata={"team": "risk"})
    renamed.resume(checkpoints.load(good))
    to_its_end(renamed)
    assert everything(renamed) == undisturbed("cocktail-multiclass")[0]


def test_other_data_are_refused(good: Path) -> None:
    frame, rng = data("multiclass"), np.random.default_rng(0)
    x, y = frame.frame.select(list(frame.columns)).to_numpy(), frame.target
    moved = x.copy()
    moved[:, 0] += rng.standard_normal(len(x))
    others = {
        "train": table(x[:-5], y[:-5]),
        "preprocessor": table(moved, y),
        "outputs": table(x, np.minimum(y, 1)),
    }
    asked = CASES["cocktail-multiclass"][1] | {"metrics": ["accuracy"]}
    running = training(frame, **asked)
    checkpoints.save(good, running)
    for what, other in others.items():
        with pytest.raises(CheckpointError, match=f"another data: .*{what}"):
            training(other, **asked).resume(checkpoints.load(good))


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────


def same(one: Checkpoint, other: Checkpoint) -> bool:
    def comparable(checkpoint: Checkpoint) -> dict[str, Any]:
        return {
            f"{part}/{name}": raw(value) if isinstance(value, torch.Tensor) else value
            for part, values in checkpoint.state.items()
            for name, value in values.items()
        }

    return comparable(one) == comparable(other) and one.spec == other.spec and one.data == other.data


def test_a_cut_file_is_refused(good: Path, tmp_path: Path) -> None:
    whole, cut = good.read_bytes(), tmp_path / "cut"
    lengths = {*range(40), *range(0, len(whole), len(whole) // 150), len(whole) - 1}
    for data in [*(whole[:length] for length in sorted(lengths)), whole + b"x", b"x" * 1000]:
        cut.write_bytes(data)
        with pytest.raises(CheckpointError):
            checkpoints.load(cut)


def test_a_flipped_bit_is_refused_or_means_nothing(good: Path, tmp_path: Path) -> None:
    """In the header and in the body. Only blanks that pad the header may be others."""
    whole, original = bytearray(good.read_bytes()), checkpoints.load(good)
    header, chance = 8 + int.from_bytes(whole[:8], "little"), random.Random(0)
    places = [*range(8), *range(8, header, 7), *chance.sample(range(header, len(whole)), 150)]
    flipped, harmless = tmp_path / "flipped", 0
    for place in places:
        kept = whole[place]
        whole[place] ^= 1 << chance.randrange(8)
        flipped.write_bytes(whole)
        whole[place] = kept
        try:
            loaded = checkpoints.load(flipped)
        except CheckpointError:
            continue
        assert same(loaded, original), place
        harmless += 1
    assert harmless < 10


def test_lies_about_sizes_allocate_nothing(good: Path) -> None:
    whole = good.read_bytes()
    for claimed in (2**63, 2**40, len(whole), 99_000_000):
        good.write_bytes(struct.pack("<Q", claimed) + whole[8:])
        with pytest.raises(CheckpointError):
            checkpoints.load(good)
    for shape in ([2**40], [2**62, 2**62], [-1], [0, 2**62]):
        described = {"history/values": {"dtype": "F64", "shape": shape, "data_offsets": [0, 0]}}
        header = json.dumps(described).encode()
        good.write_bytes(struct.pack("<Q", len(header)) + header)
        with pytest.raises(CheckpointError):
            checkpoints.load(good)


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Path:
    """The same file with other contents and a digest that fits them."""
    with safe_open(path, framework="pt") as file:
        words = json.loads(file.metadata()["words"])
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(words, tensors)
    written = json.dumps(words)
    metadata = {
        "format": checkpoints.FORMAT,
        "words": written,
        "digest": checkpoints._digest(written, tensors),
    }
    save_file(tensors, path, metadata=metadata)
    return path


def test_what_is_missing_or_of_another_kind_is_refused(good: Path) -> None:
    """Even where the digest fits, as in a file of a version that forgot to say so."""
    whole = good.read_bytes()
    with safe_open(good, framework="pt") as file:
        plain = json.loads(file.metadata()["words"])["state"]
    changes: list[Callable[[Any, Any], Any]] = []
    for name in load_file(good):
        # A fresh optimizer has no tensors, so none is missed.
        if not name.startswith("stepper/"):
            changes.append(lambda words, tensors, name=name: tensors.pop(name))
        changes.append(lambda words, tensors, name=name: tensors.update({name: torch.zeros(3, 2)}))
        changes.append(lambda words, tensors, name=name: tensors.update({name: torch.zeros(1)}))
    for part in plain:
        changes.append(lambda words, tensors, part=part: words["state"].pop(part))
        changes.append(lambda words, tensors, part=part: words["state"].update({part: None}))
        changes += [
            lambda words, tensors, part=part, name=name: words["state"][part].pop(name)
            for name in plain[part]
        ]
    for name in ("spec", "data", "state"):
        changes.append(lambda words, tensors, name=name: words.pop(name))
        changes.append(lambda words, tensors, name=name: words.update({name: [1]}))
    assert len(changes) > 60
    for change in changes:
        good.write_bytes(whole)
        changed = rewritten(good, change)
        with pytest.raises(CheckpointError):
            _resumed(changed)
    good.write_bytes(whole)
    assert_ends_undisturbed(_resumed(rewritten(good, lambda words, tensors: None)), "cocktail-multiclass")


def _resumed(path: Path) -> Training:
    again = begin("cocktail-multiclass")
    again.resume(checkpoints.load(path))
    return again


def test_another_format_is_refused(good: Path, tmp_path: Path) -> None:
    metadata = {"format": "ridgeline-checkpoint-2", "words": "{}", "digest": ""}
    save_file({"a": torch.zeros(2)}, good, metadata=metadata)
    with pytest.raises(CheckpointError, match="format is ridgeline-checkpoint-2, not ridgeline-checkpoint-1"):
        checkpoints.load(good)
    save_file({"a": torch.zeros(2)}, good)
    with pytest.raises(CheckpointError):
        checkpoints.load(good)
    for absent in (tmp_path / "nothing", tmp_path):
        with pytest.raises(CheckpointError):
            checkpoints.load(absent)


def test_what_cannot_be_written_leaves_the_file_before(good: Path) -> None:
    running = begin("cocktail-multiclass")
    with pytest.raises(FileNotFoundError):
        checkpoints.save(good.parent / "no folder" / "c", running)
    assert checkpoints.load(good).batch == 1
    assert [each.name for each in good.parent.iterdir()] == [good.name]
