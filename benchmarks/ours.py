"""Our engine as a contender: one training alone, or many as stacks of as many as may share one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import torch

from benchmarks.measuring import Contender
from benchmarks.workloads import Workload
from models.stacking import stack_limit
from models.stacks import Stack
from models.training import Training


def alone(workload: Workload, epochs: int, seed: int) -> Training:
    """One network trained to its end."""
    training = Training(workload.spec(epochs, seed), workload.prepared)
    for _ in training:
        pass
    return training


def accuracy(training: Training) -> float:
    """The last epoch's, on the rows held out."""
    return training.history.epochs[-1].values["val_accuracy"]


def contender(workload: Workload, threads: int = 1) -> Contender:
    """One job on so many threads."""

    def act(seed: int) -> float:
        torch.set_num_threads(threads)
        try:
            return accuracy(alone(workload, workload.epochs, seed))
        finally:
            torch.set_num_threads(1)

    return Contender(act, workload.epochs * workload.train_rows)


def variants(workload: Workload, number: int) -> list[Workload]:
    """So many cocktails that differ in the strength of L1 and in the rates of dropout."""
    strengths, rates = (1e-6, 3e-6, 1e-5, 3e-5), ((0.5, 0.3), (0.4, 0.3), (0.4, 0.2), (0.3, 0.2))
    grid = [replace(workload, l1=l1, rates=chosen) for l1, chosen in product(strengths, rates)]
    return [grid[index % len(grid)] for index in range(number)]


def together(workloads: Sequence[Workload], epochs: int, seed: int) -> float:
    """Networks of one shape, trained as stacks; the mean of their accuracies."""
    return statistics.fmean(accuracy(training) for training in trained(workloads, epochs, seed))


def trained(workloads: Sequence[Workload], epochs: int, seed: int) -> list[Training]:
    """The same; each member has a seed of its own."""
    trainings = [
        Training(each.spec(epochs, seed + number), each.prepared) for number, each in enumerate(workloads)
    ]
    limit = stack_limit(trainings[0].network.parameter_count())
    for stack in portions(trainings, limit):
        for _ in Stack(list(stack)).pulses():
            pass
    return trainings


def portions(trainings: Sequence[Training], limit: int) -> Iterator[Sequence[Training]]:
    """As few portions as the limit allows, and none much smaller than the others."""
    size = -(-len(trainings) // -(-len(trainings) // limit))
    return (trainings[start : start + size] for start in range(0, len(trainings), size))
