"""Rates, ratios and rounds, on scripted seconds."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import machine
from benchmarks.growth import exponent
from benchmarks.measuring import ALIKE, Contender, Rounds, Row, interleaved

ROUNDS = Rounds(
    samples={"ours": 100, "rival": 50},
    seconds={"ours": [1.0, 2.0, 4.0], "rival": [2.0, 4.0, 1.0]},
    accuracies={"ours": [0.9, 0.8, 0.7], "rival": [0.83, 0.83, 0.83]},
)


def test_a_rate_is_the_median_of_the_rounds() -> None:
    assert ROUNDS.rate("ours") == 50.0
    assert ROUNDS.rate("rival") == 25.0


def test_a_ratio_pairs_what_ran_in_the_same_round_and_weighs_the_samples() -> None:
    # 100/s to 25/s, 50/s to 12.5/s, 25/s to 50/s.
    assert ROUNDS.ratio("ours", "rival") == 4.0
    assert ROUNDS.ratio("rival", "ours") == 0.25


def test_results_are_alike_where_ours_is_hardly_worse() -> None:
    assert ROUNDS.accuracy("ours") == pytest.approx(0.8)
    assert ROUNDS.alike("rival", "ours")
    for below, alike in ((0.9 * ALIKE, True), (1.1 * ALIKE, False)):
        found = {"ours": [0.83 - below], "rival": [0.83]}
        assert Rounds(ROUNDS.samples, ROUNDS.seconds, found).alike("ours", "rival") is alike


def test_contenders_run_in_turn_after_a_round_that_does_not_count() -> None:
    ran: list[tuple[str, int]] = []

    def contender(name: str) -> Contender:
        def act(seed: int) -> float:
            ran.append((name, seed))
            return float(seed)

        return Contender(act, 10)

    rounds = interleaved({"a": contender("a"), "b": contender("b")}, 2)
    assert ran == [("a", 0), ("b", 0), ("b", 0), ("a", 0), ("a", 1), ("b", 1)]
    assert rounds.accuracies == {"a": [0.0, 1.0], "b": [0.0, 1.0]}
    assert [len(times) for times in rounds.seconds.values()] == [2, 2]


def test_who_has_no_accuracy_is_only_timed() -> None:
    rounds = interleaved({"floor": Contender(lambda _: None, 1)}, 1)
    assert rounds.accuracies == {"floor": []}
    assert rounds.rate("floor") > 0


@pytest.mark.parametrize(("met", "mark"), [(True, "✓"), (False, "✗"), (None, "")])
def test_a_row_says_whether_the_wanted_was_met(met: bool | None, mark: str) -> None:
    assert Row("what", "1", "2", "2×", "≥ 1×", met).mark == mark


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_is_the_slope_of_the_logarithms(power: float) -> None:
    sizes = [1, 10, 1_000]
    assert exponent(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power)


def test_the_machine_is_told_with_its_cores_and_torch() -> None:
    assert "cores" in machine()
    assert "torch 2." in machine()
