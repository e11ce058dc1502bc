"""What a job's environment says of the device that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models import environment as module
from models.environment import environment, use_whole_precision
from tests.models.building import training
from tests.models.company import data

OF_A_GPU = {"matmul_precision", "device_index", "device_name", "cuda", "driver", "cudnn"}


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What torch would say on a machine that has two; the driver's file."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"NVIDIA H200 number {index}")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    driver = tmp_path / "version"
    monkeypatch.setattr(module, "_DRIVER", driver)
    return driver


def of(device: str, **more: Any) -> dict[str, Any]:
    return environment(device, torch.float32, **{"company": 0, "by_autograd": [], **more})


def test_of_a_gpu_all_that_its_numbers_depend_on(two_gpus: Path) -> None:
    two_gpus.write_text("575.57.08\n")
    use_whole_precision("cuda:1")
    found = of("cuda:1")
    assert {name: value for name, value in found.items() if name in {"device", *OF_A_GPU}} == {
        "device": "cuda",
        "device_index": 1,
        "device_name": "NVIDIA H200 number 1",
        "cuda": "12.8",
        "driver": "575.57.08",
        "matmul_precision": "highest",
    }
    assert of("cuda")["device_index"] == 0
    assert of("cuda", by_autograd=["hidden_1_norm"])["cudnn"] == 91002


def test_what_is_not_known_is_not_told(two_gpus: Path) -> None:
    assert "driver" not in of("cuda")


def test_a_precision_that_somebody_else_has_set_is_told(two_gpus: Path) -> None:
    torch.set_float32_matmul_precision("high")
    assert of("cuda")["matmul_precision"] == "high"


def test_on_a_cpu_it_is_what_it_was() -> None:
    torch.set_float32_matmul_precision("high")
    found = training(data("binary"), network={"hidden": [3]}).environment()
    assert found.keys() == {"torch", "cpu_capability", "threads", "company", "device", "dtype", "derivatives"}
    assert torch.get_float32_matmul_precision() == "high", "nothing is changed for a CPU"
