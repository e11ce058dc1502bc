"""`./run bench`: every benchmark in one run, one table; ratios against a rival measured in turn with us."""

from __future__ import annotations

import platform
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import reading, service, training
from benchmarks.measuring import Row

GROUPS = {"training": training.measure, "service": service.measure, "reading": reading.measure}


def main(names: list[str]) -> None:
    unknown = set(names) - set(GROUPS)
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(GROUPS)}")
    console = Console()
    console.print(
        f"Python {platform.python_version()}, {platform.machine()}; medians, one process busy at a time"
    )
    table = Table("what", "ours", "against", "ratio", "wanted", "")
    for name in names or GROUPS:
        for row in GROUPS[name]():
            table.add_row(row.what, row.ours, row.against, row.ratio, row.wanted, "✓" if row.met else "✗")
            console.print(_line(row))
    console.print(table)


def _line(row: Row) -> str:
    return f"{row.what}: {row.ours} against {row.against} ({row.ratio}; wanted {row.wanted})"


if __name__ == "__main__":
    main(sys.argv[1:])
