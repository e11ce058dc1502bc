"""What a learning curve says about its job: a verdict, the evidence for it, and what to try next.

A pure function of the curve, the spec, the result and what is known of data and weights: it trains nothing,
asks nobody and loads no torch. `symptoms` measures, `verdicts` decides, `evidence` and `summaries` say it in
words, `remedies` advises.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.diagnosis.case import Case
from models.diagnosis.evidence import Evidence, evidence
from models.diagnosis.remedies import Suggestion, suggestions
from models.diagnosis.summaries import summary
from models.diagnosis.symptoms import symptoms
from models.diagnosis.verdicts import VERDICTS, Verdict, verdict

__all__ = ["VERDICTS", "Case", "Diagnosis", "Evidence", "Suggestion", "Verdict", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is the matter, how that is known, what may help."""

    verdict: Verdict
    summary: str
    """One or two sentences, with the numbers in them."""
    epochs: int
    """How many epochs of the curve it was judged by."""
    evidence: list[Evidence]
    suggestions: list[Suggestion]
    """The most promising first; each patches the job's spec."""


def diagnose(case: Case) -> Diagnosis:
    """The diagnosis of a job that has one epoch at least; `ValueError` where it has none."""
    if not case.epochs:
        raise ValueError("a curve without epochs shows nothing")
    found = symptoms(case)
    decided = verdict(found)
    return Diagnosis(
        verdict=decided,
        summary=summary(decided, found),
        epochs=found.epochs,
        evidence=evidence(found),
        suggestions=suggestions(decided, found),
    )
