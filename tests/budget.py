"""How long the default run may take: which modules begin first, and which tests may take over three seconds.

Two processes share the modules. What takes long comes first: begun last, it would keep one process busy while
the other has no more. A test that takes longer than three seconds, its own set-up included, is named here
with the reason, or a line at the end of the run says so; machines differ, so that fails nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import pytest

SECONDS: Final = 3.0
LONGEST: Final = (
    "tests/dashboard/",
    "tests/test_pasted.py",
    "tests/test_clients.py",
    "tests/test_device.py",
    "tests/cli/test_up.py",
    "tests/test_end_to_end.py",
    "tests/chaos/",
    "tests/cli/test_demo.py",
    "tests/worker/test_processes.py",
    "tests/api/test_fuzzing.py",
    "tests/cli/",
    "tests/worker/",
    "tests/models/",
    "tests/test_architecture.py",
)
"""Modules and folders, in the order in which they begin; the others follow."""

SHARING: Final = ("tests/dashboard/",)
"""Folders whose modules share a server and a browser, which each process would start anew."""

ALLOWED: Final[dict[str, str]] = {
    "tests/api/test_access.py::test_whoever_starts_one_is_told_why_not": "starts a program that must refuse",
    "tests/api/test_bombs.py::test_a_bomb_is_refused_and_leaves_nothing": "starts the server that forks",
    "tests/api/test_fuzzing.py::test_nothing_that_the_document_allows": "requests drawn for every operation",
    "tests/api/test_hanging_files.py::test_sixty_requests_for_files": "files that hang are waited for",
    "tests/api/test_in_flight.py::test_a_killed_servers_upload": "a real server is killed",
    "tests/chaos/test_short.py::": "workers, broker and API are killed while clients work",
    "tests/cli/test_demo.py::": "the demo itself, with 25 networks",
    "tests/cli/test_run_script.py::test_the_first_run": "a real environment is made",
    "tests/cli/test_up.py::": "real programs are started, killed and waited for",
    "tests/dashboard/": "pages in a real browser",
    "tests/models/test_command.py::test_it_trains_and_prints": "a process of its own that loads torch",
    "tests/store/test_million.py::test_few_rows_are_touched": "the first one fills the tables",
    "tests/test_architecture.py::test_importing_opens": "loads every module",
    "tests/test_architecture.py::test_what_must_start_quickly": "loads every module",
    "tests/test_browsers.py::test_without_one": "runs the tests' own runner inside of it",
    "tests/test_clients.py::": "an installation, and clients as people start them",
    "tests/test_device.py::test_jobs_on_a_device": "all tests of a pretended device",
    "tests/test_end_to_end.py::": "an installation, and a worker whose lease runs out",
    "tests/test_pasted.py::": "every command of the pages, each a program that starts",
    "tests/worker/test_processes.py::": "a real worker with its children",
    "tests/worker/test_side_effects.py::test_every_side_effect": "cut off at each of them",
}
"""By the beginning of its id: why a test may take longer."""


def rank(item: pytest.Item) -> int:
    """Where a test's module stands in the order."""
    path = item.nodeid.partition("::")[0]
    return next((place for place, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))


def server_of(nodeid: str) -> str | None:
    """The folder that a test shares a server with; None for most."""
    return next((folder for folder in SHARING if nodeid.startswith(folder)), None)


def find_slow(reports: Iterable[pytest.TestReport]) -> list[tuple[float, str]]:
    """The tests that took longer than they may, the slowest first: seconds of set-up and call, and the id."""
    took: dict[str, float] = defaultdict(float)
    for report in reports:
        if report.when in ("setup", "call"):
            took[report.nodeid] += report.duration
    over = [(seconds, nodeid) for nodeid, seconds in took.items() if seconds > SECONDS]
    return sorted((each for each in over if not each[1].startswith(tuple(ALLOWED))), reverse=True)


def describe(slow: Sequence[tuple[float, str]]) -> str:
    """What is said of them at the end of a run; nothing where the machine was busy with other things too."""
    if not slow or os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        return ""
    listed = "; ".join(f"{nodeid} {seconds:.1f} s" for seconds, nodeid in slow[:10])
    more = f"; and {len(slow) - 10} more" if len(slow) > 10 else ""
    return f"Over {SECONDS:.0f} s and not named in tests/budget.py: {listed}{more}."
