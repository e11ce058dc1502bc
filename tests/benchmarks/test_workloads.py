"""The networks that are compared: everybody builds the same one, and the floor counts its arithmetic."""

from __future__ import annotations

import importlib

import pytest

from benchmarks import floor, ours
from benchmarks.rivals.textbook import Textbook
from benchmarks.workloads import W1, W2, W3, Workload
from models.network import build

LONG = pytest.mark.long
"""Reading the digits takes seconds, and so does loading another library."""


@pytest.mark.parametrize("workload", [W3, pytest.param(W1, marks=LONG), pytest.param(W2, marks=LONG)])
def test_the_textbooks_network_is_ours(workload: Workload) -> None:
    columns, *_, outputs = workload.widths
    own = build(workload.spec(1, 0), columns, outputs, 0).parameter_count()
    assert own == Textbook(workload).parameters() == floor.parameters(workload)


@LONG
@pytest.mark.parametrize("place", ["on_keras:Keras", "on_lightning:Lightning", "on_skorch:Skorch"])
@pytest.mark.filterwarnings("ignore")  # Theirs.
def test_another_librarys_network_is_ours(place: str) -> None:
    module, _, name = place.partition(":")
    pytest.importorskip({"on_keras": "keras", "on_lightning": "lightning", "on_skorch": "skorch"}[module])
    rival = getattr(importlib.import_module(f"benchmarks.rivals.{module}"), name)
    assert [rival(each).parameters() for each in (W1, W3)] == [floor.parameters(each) for each in (W1, W3)]


@pytest.mark.filterwarnings("ignore")  # Theirs.
def test_scikit_learns_network_is_ours_without_batch_norm() -> None:
    from benchmarks.rivals.on_sklearn import Sklearn

    assert Sklearn(W3).parameters() == floor.parameters(W3) - 2 * sum(W3.hidden)


@LONG
def test_the_workloads_are_what_they_are_said_to_be() -> None:
    assert [(each.shape, each.batch, each.train_rows) for each in (W1, W2, W3)] == [
        ("784-128-64-10", 32, 4_000),
        ("784-1024-1024-10", 256, 4_000),
        ("30-64-64-1", 32, 455),
    ]


def test_a_step_has_three_products_a_layer_but_for_the_first() -> None:
    assert floor.step_products([5, 3, 2], 7) == [(7, 5, 3), (7, 3, 2), (5, 7, 3), (3, 7, 2), (7, 2, 3)]


def test_the_floor_can_be_run_for_one_and_for_a_stack() -> None:
    for members in (1, 3):
        contender = floor.contender(W3, members)
        assert contender.samples == members * 455
        assert contender.act(0) is None


def test_variants_differ_and_share_a_stack() -> None:
    from models.stacking import stack_key

    variants = ours.variants(W3, 16)
    assert len(set(variants)) == 16
    assert len({stack_key(each.spec(1, seed)) for seed, each in enumerate(variants)}) == 1


def test_portions_are_even_and_within_the_limit() -> None:
    assert [len(part) for part in ours.portions(list(range(16)), 5)] == [4, 4, 4, 4]  # type: ignore[arg-type]
    assert [len(part) for part in ours.portions(list(range(3)), 64)] == [3]  # type: ignore[arg-type]
