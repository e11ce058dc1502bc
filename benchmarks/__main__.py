"""`./run bench`: everything in one run, one table; ratios against rivals measured in turn with us.

`./run bench training stacks` measures those groups only. Each is a module with a function `measure`; one
that takes options, as `device` does, has `measure_by` besides.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.measuring import Row

GROUPS = {
    "training": "one job against the textbook loop, the floor, and other libraries",
    "stacks": "sixteen jobs that differ in regularization",
    "jobs": "the way through the service: overhead, throughput, a grid",
    "reading": "what a busy dashboard asks",
    "predictions": "trained networks being asked, and taken away",
    "loaded": "the API while both cores train, and what it takes in",
    "memory": "of the processes at rest, and of a stack against its estimate",
}
ASKED_FOR = {
    "dashboard": "the page in a Chromium: opening, and twenty live curves for ten minutes",
    "h2o": "the same work through our service and through H2O-3's; needs Java",
    "diagnosis": "verdicts and first suggestions against what is true of 300 jobs drawn at random",
    "million": "claims, quotas and gauges on PostgreSQL beside a million jobs",
    "finding": "sorted and narrowed lists of jobs beside a hundred thousand, on both databases",
    "device": "a GPU: is it right there, how do jobs end, how quick is it; takes --device cpu --quick",
    "growth": "time and memory over members, rows, columns, epochs and jobs stored; draws docs/growth.svg",
}
"""Measured only where they are named: they take minutes."""
COLUMNS = ("what", "ours", "against", "ratio", "wanted", "", "accuracy", "of the floor")
WIDTH = 150


def main(words: list[str]) -> None:
    names = list(takewhile(lambda word: not word.startswith("-"), words))
    options = words[len(names) :]
    known = GROUPS | ASKED_FOR
    if unknown := set(names) - set(known):
        asked = ", ".join(sorted(unknown))
        raise SystemExit(f"there is no benchmark {asked}; choose from {', '.join(known)}")
    if options and names != ["device"]:
        raise SystemExit(f"only device takes options: {' '.join(options)}")
    began, console = time.monotonic(), Console(width=WIDTH)
    console.print(f"{machine()}; medians of rounds in turn; accuracy: ours / the rival's, validation rows")
    table = Table(*COLUMNS, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in names or GROUPS:
        table.add_section()
        table.add_row(f"[bold]{name}[/bold]: {known[name]}")
        module = import_module(f"benchmarks.{name}")
        for row in module.measure_by(options) if options else module.measure():
            table.add_row(*map(escape, _cells(row)))
            print(
                f"{time.monotonic() - began:4.0f} s  {' | '.join(_cells(row))}", file=sys.stderr, flush=True
            )
    console.print(table)


def _cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.ours, row.against, row.ratio, row.wanted, row.mark, row.accuracy, row.floor)


def machine() -> str:
    """What it was measured on, and how busy that was before."""
    facts = _processor()
    model = facts.get("model name", platform.processor() or platform.machine())
    flags = facts.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return (
        f"{model}, {os.cpu_count()} cores, {vectors}, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def _processor() -> dict[str, str]:
    """What Linux tells of the first core; nothing elsewhere."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().split("\n\n")[0].splitlines() if told.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


if __name__ == "__main__":
    main(sys.argv[1:])
