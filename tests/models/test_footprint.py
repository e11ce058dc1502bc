"""What a job is estimated to hold of a host's memory and of a GPU's; tests/device shows what it holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.cost import Cost, Limits, complaints_about, estimate
from models.defaults import complete
from models.spec import JobSpec
from models.splits import sizes
from tests.models.company import data

NETWORK = {"network": {"hidden": [64, 32]}, "regularization": {"batch_norm": True, "dropout": 0.5}}
LIMITS = Limits(parameters=10**9, operations=10**18, memory_bytes=2**33, device_bytes=2**33)


def cost(device: str, rows: int = 1000, columns: int = 30, **more: Any) -> Cost:
    given = data("binary", rows, columns)
    asked = {"dataset": "given", **NETWORK, **more}
    asked["training"] = {**asked.get("training", {}), "device": device}
    return estimate(complete(JobSpec.model_validate(asked), given.description).spec, given.description)


def test_who_holds_what() -> None:
    """On a GPU the host keeps the table and what checkpoints copy; wherever it may be trained, both count."""
    cpu, auto, cuda = (cost(device) for device in ("cpu", "auto", "cuda"))
    assert (cpu.device_bytes, cpu.device_member_bytes) == (0, 0)
    assert (auto.memory_bytes, auto.member_bytes) == (cpu.memory_bytes, cpu.member_bytes)
    assert (auto.device_bytes, auto.device_member_bytes) == (cuda.device_bytes, cuda.device_member_bytes)
    table = 1000 * 30 * 24
    assert table < cuda.memory_bytes < cpu.memory_bytes
    assert cuda.device_bytes < cpu.memory_bytes - table + 10_000


def test_more_takes_more() -> None:
    usual = cost("cuda").device_bytes
    assert cost("cuda", rows=4000).device_bytes - usual >= 3000 * 30 * 4
    assert cost("cuda", metrics=["roc_auc"]).device_bytes >= usual
    assert cost("cuda", training={"batch_size": 500}).device_bytes > usual
    assert cost("cuda", regularization={}).device_bytes < usual
    wider = cost("cuda", network={"hidden": [1000, 1000]})
    assert wider.device_bytes > 6 * 4 * wider.parameters


@pytest.mark.parametrize(("on_gpu", "found"), [(True, 1), (False, 0)])
def test_a_gpus_memory_limits_who_insists_on_one(on_gpu: bool, found: int) -> None:
    own = cost("cuda")
    tight = replace(LIMITS, device_bytes=own.device_bytes - 1)
    (*complaints,) = complaints_about(own, tight, on_gpu=on_gpu)
    assert len(complaints) == found
    for each in complaints:
        assert f"{own.device_bytes:.3g} bytes of GPU memory" in each.detail
        assert each.pointer == "/network/hidden"
    assert complaints_about(own, replace(LIMITS, device_bytes=own.device_bytes), on_gpu=on_gpu) == []
    assert complaints_about(own, replace(LIMITS, device_bytes=None), on_gpu=on_gpu) == []


def test_a_stack_fits_where_one_job_may() -> None:
    own = cost("cuda")
    room = own.device_bytes + 5 * own.device_member_bytes
    for device_bytes, members in ((room, 6), (room - 1, 5), (own.device_bytes, 1), (1, 1)):
        limits = replace(LIMITS, device_bytes=device_bytes)
        assert own.members_within(limits, on_gpu=True) == members
        assert own.members_within(limits, on_gpu=False) > 6
    on_host = replace(LIMITS, memory_bytes=own.memory_bytes + 2 * own.member_bytes)
    assert own.members_within(on_host, on_gpu=True) == own.members_within(on_host, on_gpu=False) == 3


def test_rows_are_counted_as_they_are_dealt() -> None:
    """Only training rows are ranked: to hold more of them back takes less."""
    halves = {"validation": 0.25, "test": 0.25}
    metrics = ["roc_auc"]
    assert sizes(JobSpec.model_validate({"dataset": "given", "split": halves}).split, 1000) == {
        "train": 500,
        "validation": 250,
        "test": 250,
    }
    less = cost("cuda", 50_000, 2, split=halves, metrics=metrics).device_bytes
    assert less < cost("cuda", 50_000, 2, split={"validation": 0, "test": 0}, metrics=metrics).device_bytes
