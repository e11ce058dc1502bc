"""Tensors into a file: safetensors, whose own errors do not say in the system's way that a disk is full."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> None:
    """Tensors that share no memory, and words beside them, in one file; `OSError` where that cannot be."""
    try:
        save_file(dict(tensors), path, metadata=dict(words))
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, f"cannot be written: {error}") from error
