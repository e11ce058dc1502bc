"""Tensors into a file in the safetensors format: the same bytes whenever the same is said.

The format is 8 bytes that hold the header's length, the header (JSON: words, and of each tensor its kind,
shape and place), and the tensors one behind the other. `safetensors` itself reads such a file, and writes the
words of a header in another order each time, so that equal networks had unequal files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8
"""Where the tensors begin, and each one's own size where they follow each other: the largest come first."""


def write(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> None:
    """Tensors, and words beside them, in one file; `OSError` where that cannot be.

    The file is replaced as a whole or not at all.
    """
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])))
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(_header(ordered, words))
            for tensor in ordered.values():
                file.write(_bytes(tensor))
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _header(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(sorted(words.items()))}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        shape, kind = list(tensor.shape), _KINDS[tensor.dtype]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    told = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    told += b" " * (-len(told) % _ALIGNMENT)
    return len(told).to_bytes(8, "little") + told


def _bytes(tensor: Tensor) -> memoryview:
    """A tensor's numbers, the lowest byte of each first."""
    own = tensor.detach().cpu().reshape(-1)
    as_bytes = own.view(torch.uint8)
    if sys.byteorder == "big":
        as_bytes = as_bytes.view(-1, own.element_size()).flip(1).reshape(-1)
    return as_bytes.numpy().data
