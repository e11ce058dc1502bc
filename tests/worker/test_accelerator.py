"""A GPU as its process takes it and shares it, on a machine whose torch says that there is one."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from worker import accelerator
from worker.accelerator import DeviceLostError, Gpu
from worker.devices import NoDeviceError

GIB = 1024**3


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Four GPUs of 80 GiB; what torch was told of them."""
    told: dict[str, float] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: told.update(device=number))
    monkeypatch.setattr(
        torch.cuda,
        "set_per_process_memory_fraction",
        lambda fraction, number: told.update(fraction=fraction, of=number),
    )
    about = SimpleNamespace(name="NVIDIA H200", total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: about)
    monkeypatch.setattr(Gpu, "warm_up", lambda gpu: None)
    return told


@pytest.mark.parametrize(("index", "device", "share"), [(0, "cuda:0", 2), (3, "cuda:3", 1), (5, "cuda:1", 2)])
def test_each_process_takes_its_share_of_one_gpu(
    machine: dict[str, float], index: int, device: str, share: int
) -> None:
    gpu = accelerator.take(index, 6)
    assert (gpu.device, gpu.name) == (device, "NVIDIA H200")
    assert machine == {"device": index % 4, "of": index % 4, "fraction": 0.95 / share}


@pytest.mark.parametrize(
    ("free", "own", "is_crowded"),
    [(79, 0, False), (0, 38, False), (30, 8, False), (20, 8, True), (0, 0, True)],
)
def test_a_gpu_is_crowded_where_others_hold_ones_share(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch, free: int, own: int, is_crowded: bool
) -> None:
    """Of two processes each may take 38 GiB of these 80."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: own * GIB)
    assert accelerator.take(0, 8).is_crowded() == is_crowded


def test_a_gpu_with_no_room_to_ask_is_crowded(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(device: str) -> tuple[int, int]:
        raise torch.AcceleratorError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    assert accelerator.take(0, 1).is_crowded()


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: the provided PTX was compiled with an unsupported toolchain."),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("Found no NVIDIA driver on your system"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_none(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def breaks(gpu: Gpu) -> None:
        raise error

    monkeypatch.setattr(Gpu, "warm_up", breaks)
    with pytest.raises(NoDeviceError, match="cannot be used"):
        accelerator.take(0, 1)


def test_where_torch_finds_none_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoDeviceError, match="torch finds no GPU"):
        accelerator.take(0, 1)


class Answers(Gpu):
    """A GPU on the CPU, which answers as it is told."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__("cpu")
        self.errors = list(errors)

    def _compute(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        super()._compute()


LOST = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")


@pytest.mark.parametrize(
    ("error", "answer", "is_lost"),
    [
        (LOST, LOST, True),
        (RuntimeError("CUDA error: device-side assert triggered"), RuntimeError("CUDA error: …"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED"), LOST, True),
        (FULL, LOST, True),
        (LOST, None, False),
        (FULL, None, False),
        (FULL, FULL, False),
        (RuntimeError("shapes cannot be multiplied"), None, False),
    ],
)
def test_a_context_is_lost_where_it_does_not_answer_after_an_error(
    error: Exception, answer: Exception | None, is_lost: bool
) -> None:
    gpu = Answers(*([answer] if answer else []))
    assert gpu.is_lost(error) == is_lost


def test_an_error_that_no_device_raises_asks_none() -> None:
    gpu = Answers(LOST)
    assert not gpu.is_lost(ValueError("no rows"))
    assert gpu.errors, "it was not asked"


def test_nothing_is_claimed_for_a_gpu_that_does_not_answer() -> None:
    with pytest.raises(DeviceLostError, match="does not answer"):
        Answers(LOST).check()
    Answers().check()


def test_a_driver_that_hangs_takes_its_process_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    class Hangs(Gpu):
        def _compute(self) -> None:
            while not ended:
                time.sleep(0.005)

    monkeypatch.setattr(accelerator, "ANSWER_SECONDS", 0.02)
    Hangs("cpu", end=lambda: ended.append(True)).check()
    assert ended == [True]


def test_a_warm_gpu_has_multiplied() -> None:
    Gpu("cpu").warm_up()
