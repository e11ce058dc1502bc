"""`python -m benchmarks.on_device speed --device cuda`: what a part finds goes out as lines of JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import torch

PARTS = {
    "about": "agreement:about",
    "alike": "agreement:alike",
    "again": "agreement:again",
    "endings": "endings:endings",
    "speed": "speed:speed",
    "textbook": "speed:textbook_loop",
    "crowd": "speed:crowd",
    "one_of_a_crowd": "speed:one_of_a_crowd",
}
"""Part → module and function. Each is loaded when it runs: one that cannot be costs only itself."""


def part(name: str) -> Callable[[str, bool], Iterator[dict[str, Any]]]:
    """From the device and whether it is to be quick to what is found."""
    module, _, function = PARTS[name].partition(":")
    found: Callable[[str, bool], Iterator[dict[str, Any]]] = getattr(
        import_module(f"benchmarks.on_device.{module}"), function
    )
    return found


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)  # as workers have, and as the same bits are promised for
    answers, sys.stdout = sys.stdout, sys.stderr
    for found in part(asked.part)(asked.device, asked.quick):
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
