"""One thread a process: two test processes with two threads each on two cores are five times slower."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
