"""`./run bench`: every benchmark in one run, one table; ratios against a rival measured in turn with us."""

from __future__ import annotations

import platform
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import jobs, reading, training

GROUPS = {"training": training.measure, "service": jobs.measure, "reading": reading.measure}


def main(names: list[str]) -> None:
    unknown = set(names) - set(GROUPS)
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(GROUPS)}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(
        f"Python {platform.python_version()}, {platform.machine()}; medians, one process busy at a time"
    )
    table = Table("what", "ours", "against", "ratio", "wanted", "")
    for name in names or GROUPS:
        for row in GROUPS[name]():
            table.add_row(row.what, row.ours, row.against, row.ratio, row.wanted, "✓" if row.met else "✗")
            print(f"measured: {row.what}", file=sys.stderr)
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
