"""Verdicts and first suggestions held against what is true: jobs drawn at random on made data.

    ./run bench diagnosis                                      all jobs, trained anew
    python -m benchmarks.diagnosis --jobs 60 --keep FILE       the first sixty; what FILE holds is not redone

A job *overfits* where the loss of its weights on 10,000 fresh rows, less their loss on the training rows, is
above a tenth of the baseline. Thresholds were chosen on the jobs below number 600; what is told here is of
those from 1,000 on, which nobody looked at before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from benchmarks.draws import draw
from benchmarks.errands import Errand
from benchmarks.measuring import Row
from models.diagnosis import Case, Diagnosis, diagnose
from models.spec import JobSpec

JOBS = 300
TOLD_FROM = 1_000
"""Jobs with smaller numbers are for choosing thresholds by: `--choosing`."""
OVERFITS = 0.1
"""Of the baseline."""
SEEDS = (101, 102, 103)
"""With which a job is trained before and after it was changed as advised."""
SIMPLE = "(val − train)/train > 0.1"
PRECISION, RECALL, HELPED = 0.95, 0.85, 0.8


@dataclass(frozen=True)
class Judged:
    """A job as it was measured, its truths, and what is said of it."""

    told: dict[str, Any]

    @property
    def number(self) -> int:
        return int(self.told["number"])

    @cached_property
    def case(self) -> Case:
        spec, described = JobSpec.model_validate(self.told["spec"]), draw(self.number).data.description
        weights, stop = self.told["weights"], self.told["stop_reason"]
        return Case(spec, self.told["series"], self.told["result"], stop, weights, described)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        return diagnose(self.case)

    # ── truths: no verdict is asked ─────────────────────────────────────────────────────────────────────────

    @cached_property
    def baseline(self) -> float:
        """Entropy of the classes, or the variance of a standardized target."""
        classes = self.case.description and self.case.description.classes
        shares = np.array([one.count for one in classes or ()], dtype=float)
        shares /= shares.sum()
        return float(-(shares * np.log(shares)).sum()) if classes else 1.0

    @property
    def beginning(self) -> float:
        """About the loss before the first step: every class alike."""
        classes = self.case.description and self.case.description.classes
        return max(self.baseline, math.log(len(classes)) if classes else 1.0)

    def loss(self, split: str) -> float:
        return float(self.told["result"][split]["loss"])

    @property
    def overfits(self) -> bool:
        return bool(self.told["fresh"] - self.loss("train") > OVERFITS * self.baseline)

    @property
    def overfits_by_the_simple_rule(self) -> bool:
        return self.loss("validation") - self.loss("train") > 0.1 * self.loss("train")

    @cached_property
    def losses(self) -> np.ndarray:
        given = self.told["series"]["train_loss"]
        return np.array([math.nan if value is None else value for value in given])

    @property
    def end(self) -> float:
        return float(np.median(self.losses[-max(len(self.losses) // 10, 1) :]))

    @property
    def ran_away(self) -> bool:
        """No finite number, or three times what it had been and began with, or thirty times the latter.

        Or a thousand times that at some epoch, and little learned since.
        """
        if self.told["stop_reason"] == "diverged" or not np.isfinite(self.losses).all():
            return True
        most = min(3 * max(self.beginning, self.losses.min()), 30 * self.beginning)
        is_lost = self.losses.max() > 1_000 * self.beginning and self.end > 0.75 * self.baseline
        return bool(self.end > most or is_lost)

    @property
    def is_unstable(self) -> bool:
        """Which epoch is best is luck: by the loss of every epoch on 2,000 fresh rows, or by train_loss."""
        if self.ran_away or self.case.is_exact:
            return False
        trace, half = np.array(self.told["trace"]), (len(self.losses) + 1) // 2
        bends, level = np.diff(trace[half:], 2), float(np.median(trace[half:]))
        moves = math.sqrt(float(np.mean(bends**2)) / 6) if len(bends) else 0.0
        before = np.minimum.accumulate(self.losses)[:-1]
        surge = max((self.losses[1:] - before)[max(half - 1, 0) :], default=0.0)
        leapt = self.losses[0] > 10 * self.beginning and self.end > 0.75 * self.baseline
        return bool(
            moves > max(0.05 * self.baseline, 0.1 * level)
            or surge > 0.5 * self.baseline
            or self.end - self.losses.min() > 0.15 * self.baseline
            or leapt
        )


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────


def measure() -> Iterator[Row]:
    """Precision and recall of each verdict that has a truth, and what first suggestions do."""
    yield from figures(range(TOLD_FROM, TOLD_FROM + JOBS))


def figures(numbers: range, keep: Path | None = None) -> Iterator[Row]:
    """The same of these jobs; what the file holds of them is not trained again."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Errand("benchmarks.truths:answering")) for _ in range(os.cpu_count() or 1)
        ]
        told = [Judged(each) for each in _measured(workers, numbers, keep)]
        yield from _verdicts(told)
        yield from _suggestions(workers, [each for each in told if each.overfits])


def _measured(workers: Sequence[Errand], numbers: range, keep: Path | None) -> list[dict[str, Any]]:
    kept = keep.read_text().splitlines() if keep and keep.exists() else []
    known = {each["number"]: each for each in map(json.loads, kept) if each["number"] in numbers}
    missing = [number for number in numbers if number not in known]
    known |= {each["number"]: each for each in _asked(workers, missing)}
    if keep and missing:
        keep.write_text("".join(json.dumps(each) + "\n" for each in known.values()))
    return [known[number] for number in sorted(known)]


def _asked(workers: Sequence[Errand], questions: Sequence[Any]) -> list[Any]:
    """Each question to whoever is free next; the answers in the order of the questions."""
    free: SimpleQueue[Errand] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def ask(question: Any) -> Any:
        worker = free.get()
        try:
            return worker.ask(question)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(ask, questions))


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────


def _verdicts(told: Sequence[Judged]) -> Iterator[Row]:
    overfits = [each.overfits for each in told]
    ours = score([each.diagnosis.verdict == "overfitting" for each in told], overfits)
    simple = score([each.overfits_by_the_simple_rule for each in told], overfits)
    yield _row("overfitting: precision", ours, simple, 0, PRECISION)
    yield _row("overfitting: recall", ours, simple, 1, RECALL)
    fine = [each for each in told if each.diagnosis.verdict == "good_fit"]
    missed = sum(each.overfits for each in fine)
    yield Row("good_fit that overfits", f"{missed} of {len(fine)}", "", "", "", None)
    for verdict, truth in _OTHERS.items():
        # What overfits is told as that, whatever else it does.
        others = [each for each in told if each.diagnosis.verdict != "overfitting"]
        found = score(
            [each.diagnosis.verdict == verdict for each in others], [truth(each) for each in others]
        )
        yield Row(f"{verdict}: precision, recall", _shown(found), "", "", "", None)


_OTHERS: dict[str, Callable[[Judged], bool]] = {
    "diverged": lambda each: each.ran_away,
    "unstable": lambda each: each.is_unstable,
}


@dataclass(frozen=True)
class Score:
    """How many were called so, were so, and both."""

    called: int
    so: int
    both: int

    @property
    def precision_and_recall(self) -> tuple[float, float]:
        return self.both / max(self.called, 1), self.both / max(self.so, 1)


def score(called: Sequence[bool], so: Sequence[bool]) -> Score:
    """Of the same jobs, in the same order."""
    return Score(sum(called), sum(so), sum(map(min, called, so)))


def _row(what: str, ours: Score, simple: Score, which: int, wanted: float) -> Row:
    own, other = ours.precision_and_recall[which], simple.precision_and_recall[which]
    of = (ours.called, ours.so)[which]
    return Row(
        what,
        f"{own:.3f} ({ours.both} of {of})",
        f"{other:.3f} ({SIMPLE})",
        "",
        f"≥ {wanted}",
        own >= wanted,
    )


def _shown(found: Score) -> str:
    precision, recall = found.precision_and_recall
    return f"{precision:.2f}, {recall:.2f} ({found.both} of {found.called} called, of {found.so} so)"


def _suggestions(workers: Sequence[Errand], told: Sequence[Judged]) -> Iterator[Row]:
    """Every overfitting job that is diagnosed so, as it is and as its first suggestion changes it."""
    advised = [
        each for each in told if each.diagnosis.verdict == "overfitting" and each.diagnosis.suggestions
    ]
    patches = [each.diagnosis.suggestions[0] for each in advised]
    asked = [(each.number, {}, SEEDS) for each in advised]
    changed = [(each.number, one.patch, SEEDS) for each, one in zip(advised, patches, strict=True)]
    answers = _asked(workers, [*asked, *changed])
    before, after = answers[: len(asked)], answers[len(asked) :]
    by_technique: dict[str, list[float]] = {}
    for one, old, new in zip(patches, before, after, strict=True):
        change = statistics.fmean(new) / statistics.fmean(old) - 1
        by_technique.setdefault(one.technique, []).append(change)
    every = [change for changes in by_technique.values() for change in changes]
    yield _helped("first suggestion lowers the loss on fresh rows", every, HELPED)
    for technique, changes in by_technique.items():
        yield _helped(f"… where it is {technique}", changes, None)


def _helped(what: str, changes: Sequence[float], wanted: float | None) -> Row:
    lower = sum(change < 0 for change in changes)
    share = lower / max(len(changes), 1)
    middle = f"median {statistics.median(changes):+.1%}" if changes else ""
    met = None if wanted is None else share >= wanted
    asked = "" if wanted is None else f"≥ {wanted}"
    return Row(what, f"{share:.2f} ({lower} of {len(changes)})", middle, "", asked, met)


def main() -> None:
    parser = argparse.ArgumentParser(description="Verdicts held against what is true.")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--choosing", action="store_true", help="of the jobs that thresholds were chosen by")
    asked = parser.parse_args()
    first = 0 if asked.choosing else TOLD_FROM
    for row in figures(range(first, first + asked.jobs), asked.keep):
        print(" | ".join(filter(None, (row.what, row.ours, row.against, row.wanted, row.mark))), flush=True)


if __name__ == "__main__":
    main()
