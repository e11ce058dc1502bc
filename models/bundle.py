"""Write bundled datasets as canonical tables: `python -m models.bundle FOLDER NAME…`.

For whoever must not load polars itself. One process writes them all, since loading that takes longer than
everything else, and prints a line of JSON for each: `{"name", "description", "head"}`; its table is then at
`FOLDER/NAME.parquet`. Exit status 75 says that there was no room on the disk.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from models.datasets import BUNDLED, bundled
from models.describe import DISK_FULL, NO_ROOM, look


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.bundle", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="where the tables go")
    parser.add_argument("names", nargs="+", choices=BUNDLED, help="which datasets")
    parser.add_argument("--head", type=int, default=0, help="so many rows are printed too, as a look")
    options = parser.parse_args(arguments)
    try:
        _write(options)
    except OSError as error:
        if error.errno in DISK_FULL:
            return NO_ROOM
        raise
    return 0


def _write(options: argparse.Namespace) -> None:
    for name in options.names:
        table = bundled(name)
        table.save(options.folder / f"{name}.parquet")
        said = {"description": table.description.model_dump(mode="json"), "head": look(table, options.head)}
        sys.stdout.write(json.dumps({"name": name, **said}, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
