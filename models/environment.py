"""Where a network was trained, as far as that bears on its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

_DRIVER = Path("/sys/module/nvidia/version")


def use_whole_precision(device: str) -> None:
    """Have float32 products on a GPU use float32: TF32's 10 bits would give curves that no CPU has.

    It holds for the process. On a CPU nothing is changed.
    """
    if torch.device(device).type != "cpu":
        torch.set_float32_matmul_precision("highest")


def environment(
    device: str, floating: torch.dtype, *, company: int, by_autograd: Sequence[str]
) -> dict[str, Any]:
    """Versions, kernels, threads and device; `company` is how many others took the last step with it."""
    kind = torch.device(device).type
    found = {
        "torch": torch.__version__.split("+")[0],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "company": company,
        "device": kind,
        "dtype": str(floating).removeprefix("torch."),
        "derivatives": f"autograd ({', '.join(by_autograd)})" if by_autograd else "written",
    }
    if kind == "cpu":
        return found
    found["matmul_precision"] = torch.get_float32_matmul_precision()
    return found | _of_cuda(torch.device(device), with_cudnn=bool(by_autograd)) if kind == "cuda" else found


def _of_cuda(device: torch.device, *, with_cudnn: bool) -> dict[str, Any]:
    """The GPU and what drives it. cuDNN is used by layers whose derivative is not written, and no others."""
    index = torch.cuda.current_device() if device.index is None else device.index
    found = {
        "device_index": index,
        "device_name": torch.cuda.get_device_name(index),
        "cuda": torch.version.cuda,
        "driver": _DRIVER.read_text().strip() if _DRIVER.is_file() else None,
        "cudnn": torch.backends.cudnn.version() if with_cudnn else None,  # type: ignore[no-untyped-call]
    }
    return {name: value for name, value in found.items() if value is not None}
