"""Whatever trains on a CPU trains on a device, and comes to the same numbers, bit for bit."""

from __future__ import annotations

from models.preprocessing import prepare
from models.stacks import Stack
from models.training import Training
from tests.models.company import curve, data, specs
from tests.pretended import DEVICE, Accelerator


def test_a_curve_is_the_cpus(gpu: Accelerator) -> None:
    given = data("binary")
    chosen = specs(
        given,
        {"network": {"hidden": [5]}, "training": {"max_epochs": 3}},
        [{}, {"training": {"max_epochs": 3, "seed": 1}}],
    )
    prepared = prepare(chosen[0], given)
    there = [Training(spec, prepared, device=DEVICE) for spec in chosen]
    here = [Training(spec, prepared) for spec in chosen]
    for trainings in (there, here):
        for _ in Stack(trainings).pulses():
            pass
    assert [curve(one) for one in there] == [curve(one) for one in here]
    assert [one.result() for one in there] == [one.result() for one in here]
    assert gpu.launches
    assert gpu.live_bytes
