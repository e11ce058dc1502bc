"""Sixteen jobs that differ in regularization, as stacks, against the textbook loop one after another.

The rival trains one of the sixteen a round, and is taken times sixteen: a loop has no way to be faster for
the second network. Two cores are two processes with one thread each, and half of the jobs each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import torch

from benchmarks import floor, ours
from benchmarks.errands import Errand, ask_all
from benchmarks.measuring import Contender, Rounds, Row, interleaved
from benchmarks.rivals.textbook import Textbook
from benchmarks.training import TEXTBOOK, accuracies
from benchmarks.workloads import W1, W2, W3, WORKLOADS, Workload
from models.stacking import stack_limit

JOBS, ROUNDS = 16, 5
ONE, TWO, FLOOR = "one process", "two processes", "floor"
WANTED = {("W3", ONE): 13.0, ("W3", TWO): 25.0, ("W1", TWO): 7.0, ("W2", TWO): 3.5}
"""Times the textbook loop, by workload and number of cores."""


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    for workload in (replace(W3, epochs=10), W1, W2):
        yield from _rows(workload)


def _rows(workload: Workload) -> Iterator[Row]:
    samples = JOBS * workload.epochs * workload.train_rows
    members = min(JOBS, stack_limit(floor.parameters(workload)))
    with ExitStack() as running:
        halves = [
            running.enter_context(
                Errand("benchmarks.stacks:half", name=workload.name, epochs=workload.epochs, part=part)
            )
            for part in range(2)
        ]
        one = half(workload.name, workload.epochs, part=None)
        contenders = {
            TWO: Contender(lambda seed: sum(ask_all(halves, seed)) / 2, samples),
            FLOOR: floor.contender(workload, members),
            TEXTBOOK: Contender(_one_of_them(workload), samples // JOBS),
        }
        if (workload.name, ONE) in WANTED:
            contenders[ONE] = Contender(one, samples)
        rounds = interleaved(contenders, ROUNDS)
    for (name, cores), wanted in WANTED.items():
        if name == workload.name:
            yield _row(workload, rounds, cores, members, wanted)


def half(name: str, epochs: int, part: int | None) -> Callable[[int], float]:
    """One of the two halves of the jobs, or all of them."""
    workload = next(each for each in WORKLOADS if each.name == name)
    jobs = ours.variants(workload, JOBS)
    chosen = jobs if part is None else jobs[part::2]
    return lambda seed: ours.together(chosen, epochs, seed)


def _one_of_them(workload: Workload) -> Callable[[int], float]:
    variants = ours.variants(workload, JOBS)

    def act(seed: int) -> float:
        torch.set_float32_matmul_precision("highest")
        return Textbook(variants[(5 * seed) % JOBS]).train(workload.epochs, seed)

    return act


def _row(workload: Workload, rounds: Rounds, cores: str, members: int, wanted: float) -> Row:
    ratio = rounds.ratio(cores, TEXTBOOK)
    processes = 1 if cores == ONE else 2
    most = processes * rounds.rate(FLOOR)
    return Row(
        f"{JOBS} jobs {workload.name} in stacks of {members}, {cores}",
        f"{rounds.rate(cores):,.0f}/s",
        f"{TEXTBOOK} {rounds.rate(TEXTBOOK):,.0f}/s",
        f"{ratio:.2f}×",
        f"≥ {wanted:g}×",
        ratio >= wanted and rounds.alike(cores, TEXTBOOK),
        accuracy=accuracies(rounds, cores, TEXTBOOK),
        floor=f"{rounds.ratio(cores, FLOOR) / processes:.0%} of {most:,.0f}/s",
    )
