"""The device itself: it refuses what CUDA refuses, counts what CUDA waits for, and fails when told to."""

from __future__ import annotations

import pytest
import torch

from tests.pretended import DEVICE, Accelerator, lost_context, out_of_memory

HERE = torch.ones(3)


def on_device() -> torch.Tensor:
    return torch.zeros(3).to(DEVICE)


def test_tensors_of_two_devices_are_not_mixed(gpu: Accelerator) -> None:
    there = on_device()
    for mixed in (
        lambda: there + HERE,
        lambda: torch.cat([there, HERE]),
        lambda: there @ HERE,
        lambda: HERE.add_(there),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: torch.where(there > 0, there, HERE),
    ):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            mixed()
    with pytest.raises(TypeError, match="can't convert"):
        there.numpy()
    assert (there + HERE[0]).tolist() == [1.0] * 3, "a CPU number may be an operand"
    assert there.copy_(HERE).tolist() == [1.0] * 3


def test_the_host_waits_for_values(gpu: Accelerator) -> None:
    there = on_device()

    def waits(work: object) -> int:
        return gpu.counted(work)[1].total()  # type: ignore[arg-type]

    assert waits(lambda: (there + 1).sum().view(1)) == 0
    assert waits(lambda: there.new_zeros(3)) == 0
    assert waits(lambda: there.sum().item()) == waits(lambda: bool((there == 0).all())) == 1
    assert waits(there.tolist) == waits(there.cpu) == waits(on_device) == 1
    assert waits(lambda: there.new_tensor([1.0])) == waits(lambda: torch.tensor(1, device=DEVICE)) == 1
    assert waits(lambda: there.long().bincount()) == 2, "the smallest and the largest"
    assert waits(lambda: there[HERE == 1]) == 1


def test_bytes_are_counted_while_they_are_held(gpu: Accelerator) -> None:
    first = torch.zeros(1024, device=DEVICE)
    second = first + 1
    view = second[:10]
    assert gpu.live_bytes == 2 * 4096
    del first, second
    assert (gpu.live_bytes, gpu.peak_bytes) == (4096, 2 * 4096)
    assert view.tolist() == [1.0] * 10
    del view
    assert gpu.live_bytes == 0


def test_a_launch_that_is_told_to_fails_and_the_next_one_does_not(gpu: Accelerator) -> None:
    there = on_device()
    gpu.fail(out_of_memory(), launch=2)
    there.add_(1)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        there.add_(1)
    assert there.add_(1).tolist() == [2.0] * 3


def test_a_lost_context_stays_lost(gpu: Accelerator) -> None:
    there = on_device()
    gpu.fail(lost_context(), lost=True)
    for _ in range(2):
        for work in (lambda: there + 1, there.cpu, there.tolist, lambda: torch.zeros(1, device=DEVICE)):
            with pytest.raises(torch.AcceleratorError, match="illegal memory access"):
                work()
    with Accelerator():
        assert torch.zeros(1, device=DEVICE).tolist() == [0.0], "another process has another context"
