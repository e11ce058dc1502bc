"""A short run with one seed; `./run chaos` has the long ones, on both configurations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.campaign import Campaign
from tests.chaos.specs import HEALTHY

SEED = 11
KINDS = ("pool child", "api", "broker without its data", "reconciler")
PAUSES = (0.3, 1.2)
"""Between two faults; four times of five the next one waits besides until somebody trains again."""
QUICK = tuple(
    {**HEALTHY[name], "training": {**HEALTHY[name]["training"], "max_epochs": epochs}}
    for name, epochs in {"cocktail": 40, "momentum": 30}.items()
)


def attack(under_way: Campaign) -> None:
    under_way.company.come()
    under_way.at_random(0, KINDS, pauses=PAUSES)


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_happens_twice(tmp_path: Path, prepared_folder: Path) -> None:
    """Four kills among visitors who submit, watch, cancel, finish, pause and resume."""
    folder = tmp_path / "a place with spaces"
    shutil.copytree(prepared_folder, folder / "data")
    report = campaign.run("sqlite", folder, seed=SEED, say=print, attack=attack, visitors=2, specs=QUICK)
    assert report.violations == [], "\n".join(report.lines())
    assert report.faults.total() == len(KINDS)
    assert report.jobs >= 2
