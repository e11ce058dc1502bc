"""One job against everybody who trains such a network in the same process, all in turn, one thread each.

Same network, data, cocktail, batch size and epochs, as far as a rival has the technique. Rivals measure the
validation split once an epoch; ours measures train and validation in evaluation mode, as its curves promise,
which is more work.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks import floor, ours
from benchmarks.measuring import Contender, Rounds, Row, interleaved
from benchmarks.rivals import Rival
from benchmarks.rivals.textbook import Textbook
from benchmarks.workloads import W1, W2, W3, Workload

ROUNDS = 5
WANTED = {("W1", 1): 3.5, ("W2", 1): 2.2, ("W2", 2): 3.5, ("W3", 1): 6.0}
"""Times the textbook loop, by workload and number of threads."""

TEXTBOOK = Textbook.name


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    for workload in (W1, W2, W3):
        yield from _rows(workload)


def _rows(workload: Workload) -> Iterator[Row]:
    threads = [number for name, number in WANTED if name == workload.name]
    rivals = others(workload)
    contenders = {
        **{_ours(number): ours.contender(workload, number) for number in threads},
        **{_floor(number): floor.contender(workload, threads=number) for number in threads},
        **{rival.name: as_contender(rival, workload) for rival in (Textbook(workload), *rivals)},
    }
    rounds = interleaved(contenders, ROUNDS)
    for number in threads:
        yield _against_textbook(workload, rounds, number)
    for rival in rivals:
        yield _against_other(workload, rounds, rival)


def others(workload: Workload) -> list[Rival]:
    """Those of the extra `bench`; imported here, because that takes them seconds."""
    from benchmarks.rivals.on_keras import Keras
    from benchmarks.rivals.on_lightning import Lightning
    from benchmarks.rivals.on_sklearn import Sklearn
    from benchmarks.rivals.on_skorch import Skorch

    return [Keras(workload), Lightning(workload), Skorch(workload), Sklearn(workload)]


def as_contender(rival: Rival, workload: Workload) -> Contender:
    def act(seed: int) -> float:
        torch.set_float32_matmul_precision(
            "highest"
        )  # Whatever was chosen before, they start from torch's own.
        return rival.train(workload.epochs, seed)

    return Contender(act, workload.epochs * workload.train_rows)


def _against_textbook(workload: Workload, rounds: Rounds, threads: int) -> Row:
    own, wanted = _ours(threads), WANTED[workload.name, threads]
    ratio = rounds.ratio(own, TEXTBOOK)
    most = rounds.rate(_floor(threads))
    return Row(
        f"{workload.name} {workload.shape}, batch {workload.batch}, {_threads(threads)}",
        f"{rounds.rate(own):,.0f}/s",
        f"{TEXTBOOK} {rounds.rate(TEXTBOOK):,.0f}/s",
        f"{ratio:.2f}×",
        f"≥ {wanted:g}×",
        ratio >= wanted and rounds.alike(own, TEXTBOOK),
        accuracy=accuracies(rounds, own, TEXTBOOK),
        floor=f"{rounds.ratio(own, _floor(threads)):.0%} of {most:,.0f}/s",
    )


def _against_other(workload: Workload, rounds: Rounds, rival: Rival) -> Row:
    own = _ours(1)
    return Row(
        f"{workload.name}" + (f", rival without {rival.lacks}" if rival.lacks else ""),
        f"{rounds.rate(own):,.0f}/s",
        f"{rival.name} {rounds.rate(rival.name):,.0f}/s = {rounds.ratio(rival.name, TEXTBOOK):.2f}× textbook",
        f"{rounds.ratio(own, rival.name):.2f}×",
        "",
        None,
        accuracy=accuracies(rounds, own, rival.name),
    )


def accuracies(rounds: Rounds, own: str, rival: str) -> str:
    return f"{rounds.accuracy(own):.3f} / {rounds.accuracy(rival):.3f}"


def _ours(threads: int) -> str:
    return f"ours, {_threads(threads)}"


def _floor(threads: int) -> str:
    return f"floor, {_threads(threads)}"


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"
