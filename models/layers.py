"""Layers as torch does not have them: none of them draws from the random state that everybody shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_LEVELS = 65_536  # masks are drawn as 16-bit integers, a quarter of the bits that a float would take


def threshold_of(rate: float) -> int:
    """Of all int16 values, those below it are dropped: `rate` is met to within 1/65536."""
    return min(round(rate * _LEVELS), _LEVELS - 1) - _LEVELS // 2


def scale_of(rate: float) -> float:
    """What is kept is multiplied by the exact inverse of the share that is kept."""
    return _LEVELS / (_LEVELS // 2 - threshold_of(rate))


class Randomness:
    """One network's own stream of random bits for its dropout masks: nobody else draws from it."""

    def __init__(self, seed: int) -> None:
        # SFC64 is the fastest of NumPy's generators; torch's own CPU masks cost ten times as much.
        self._bits = np.random.SFC64(np.random.SeedSequence([seed, 0xD0]))

    def integers(self, shape: torch.Size) -> Tensor:
        """Uniform over all int16 values, on the CPU."""
        count = shape.numel()
        return torch.from_numpy(self.words((count + 3) // 4).view(np.int16)[:count]).view(shape)

    def words(self, count: int) -> np.ndarray:
        """The next 64-bit words, as int64: four 16-bit numbers each."""
        words: np.ndarray = self._bits.random_raw(count).view(np.int64)
        return words

    def mark(self) -> Any:
        """Where in the stream it is, for `go_back`: quicker than `state`, and not to be stored."""
        return self._bits.state

    def go_back(self, mark: Any) -> None:
        """Go back to a mark."""
        self._bits.state = mark

    def state(self) -> dict[str, Any]:
        """Where in the stream it is, as plain numbers."""
        state: dict[str, Any] = dict(self._bits.state)
        words = [int(word) for word in state["state"]["state"]]
        return {"words": words, "has_uint32": state["has_uint32"], "uinteger": state["uinteger"]}

    def resume(self, state: dict[str, Any]) -> None:
        self._bits.state = {
            "bit_generator": "SFC64",
            "state": {"state": np.array(state["words"], dtype=np.uint64)},
            "has_uint32": state["has_uint32"],
            "uinteger": state["uinteger"],
        }


class Linear(nn.Linear):
    """Without torch's own initialization, which draws from the shared random state.

    `torch.nn.utils.skip_init` would do, but loads sympy and 480 modules more in every process that trains.
    """

    def reset_parameters(self) -> None:
        """Leave them as they are: `models.network` sets them."""


class Dropout(nn.Module):
    """x · mask / (1 − rate) in training, x in evaluation; `rate` is met to within 1/65536."""

    def __init__(self, rate: float, randomness: Randomness) -> None:
        super().__init__()
        self.rate = rate
        self._randomness = randomness

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = self._randomness.integers(x.shape).to(x.device) >= threshold_of(self.rate)
        return x * kept.to(x.dtype).mul_(scale_of(self.rate))

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
