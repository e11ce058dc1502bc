"""A browser for the tests: the machine's own Chromium, driven by Playwright.

Browsers are no part of a Python environment; `./run browser` sees to one. Where there is none, the tests that
are marked `browser` are left out and a line says so at the end; where CI is set they fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = "no Chromium on this machine: `./run browser` installs one, or says how"
QUIET = (
    *("--no-sandbox", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""No sandbox, which a root is refused; and no word to anybody but the page's own servers."""
LEFT_OUT = pytest.StashKey[int]()


class NoBrowser(Exception):
    """No browser was found."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium that ends with the block. A context of it is a clean profile: `browser.new_page()` has one.

    Raises NoBrowser where there is none. Playwright's loop is running inside of the block: no other of its
    kind may be begun there, and no `asyncio.run`.
    """
    found = executable()
    if found is None:
        raise NoBrowser(ADVICE)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@cache
def executable() -> str | None:
    """The machine's Chromium, else Playwright's; None where there is neither."""
    return next(filter(None, map(shutil.which, NAMES)), None) or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the tests that want a browser out of the collection where there is none, unless CI is set."""
    wanting = [item for item in items if item.get_closest_marker("browser")]
    if not wanting or "CI" in os.environ or executable():
        return
    items[:] = [item for item in items if item not in wanting]
    config.hook.pytest_deselected(items=wanting)
    config.stash[LEFT_OUT] = len(wanting)
    if hasattr(config, "workeroutput"):  # of pytest-xdist: what this process tells the one that reports
        config.workeroutput["browser"] = len(wanting)


def told_by(config: pytest.Config, node: object) -> None:
    """What a process of pytest-xdist left out; each of them collects the same tests."""
    config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("browser", 0)


def report(config: pytest.Config) -> str | None:
    """The line that says what was left out; None where nothing was."""
    many = config.stash.get(LEFT_OUT, 0)
    return f"{many} browser tests left out: {ADVICE}" if many else None
