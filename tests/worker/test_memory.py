"""What says that memory has run out: on a GPU in many words, none of which may be taken for another error."""

from __future__ import annotations

import pytest
import torch

from worker import endings
from worker.endings import Failed
from worker.memory import is_out_of_gpu_memory, is_out_of_memory

HINT = "\nCUDA kernel errors might be asynchronously reported at some other API call"

ON_A_GPU = {
    "torch's allocator": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "the runtime, with no room for a context": torch.AcceleratorError("CUDA error: out of memory" + HINT),
    "the driver, for a segment that grows": RuntimeError("CUDA driver error: out of memory"),
    "cuBLAS' handle": RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    "cuBLAS' workspace": RuntimeError(
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    ),
    "cuSOLVER's handle": RuntimeError(
        "cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`. If you "
        "keep seeing this error, you may use `torch.backends.cuda.preferred_linalg_library()`"
    ),
    "cuSOLVER's workspace": RuntimeError(
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnXsyevd_bufferSize(…)`"
    ),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuDNN's handle": RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    "cuDNN 9": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    "ROCm": torch.OutOfMemoryError("HIP out of memory. Tried to allocate 20.00 MiB."),
    "ROCm's runtime": RuntimeError("HIP error: out of memory"),
    "ROCm's BLAS": RuntimeError(
        "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"
    ),
}
NOT_FOR_MEMORY = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered" + HINT),
    torch.AcceleratorError("CUDA error: device-side assert triggered" + HINT),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnXsyevd(…)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("CUDA out of memory, says a name in the data"),
]


@pytest.mark.parametrize("who", ON_A_GPU)
def test_whoever_finds_no_room_on_a_gpu_is_understood(who: str) -> None:
    error = ON_A_GPU[who]
    assert is_out_of_gpu_memory(error)
    ending = endings.of(error, delay_seconds=0)
    assert isinstance(ending, Failed)
    assert ending.reason == "out_of_memory"
    assert ending.detail.startswith("the GPU ran out of memory")


@pytest.mark.parametrize("error", NOT_FOR_MEMORY, ids=str)
def test_other_errors_are_what_they_are(error: Exception) -> None:
    assert not is_out_of_memory(error)
    ending = endings.of(error, delay_seconds=0)
    assert isinstance(ending, Failed)
    assert ending.reason == "internal_error"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("… DefaultCPUAllocator: can't allocate memory")]
)
def test_the_machines_own_memory_is_no_gpus(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_gpu_memory(error)
    assert endings.of(error, delay_seconds=0).detail.startswith("the worker ran out of memory")
