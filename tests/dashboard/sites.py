"""A running server as the dashboard's tests see it, the jobs on it, and what they ask of a page."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cli.client import Client
from store.session import Database
from tests.sources import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = ROOT / "ci-output" / "dashboard"
WIDE, MIDDLE, NARROW = (
    {"width": 1280, "height": 800},
    {"width": 1024, "height": 768},
    {"width": 390, "height": 844},
)
QUICK = {"dataset": "iris", "training": {"max_epochs": 12}}
BRIEF = {"dataset": "iris", "training": {"max_epochs": 1}}
ENDLESS = {
    "dataset": "digits",
    "regularization": {"dropout": 0.3, "l1": 1e-4},
    "training": {"max_epochs": 100_000},
}
DIVERGING = {
    "dataset": "diabetes",
    "optimizer": {"kind": "sgd", "learning_rate": 9.0},
    "regularization": {},
    "preprocessing": {"target": "none"},
}
FOR_NOBODY = {"dataset": "iris", "training": {"device": "cuda"}}
"""No worker of these tests takes it, so it stays in the queue."""
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> \u202etfel ot thgir\u202c " + "long" * 30
FINAL = ("succeeded", "failed", "cancelled")


@dataclass
class Site:
    """A running server, and the key that it asks for."""

    address: str
    client: Client
    database: Database
    key: str

    def submit(self, spec: dict[str, Any], **more: Any) -> str:
        job: str = self.client.post("/v1/jobs", {**spec, **more})["id"]
        return job

    def finish(self, *jobs: str) -> None:
        """Wait until jobs have ended."""
        for job in jobs:
            while self.client.get(f"/v1/jobs/{job}?wait=30")["status"] not in FINAL:
                pass

    def finished(self, spec: dict[str, Any], **more: Any) -> str:
        job = self.submit(spec, **more)
        self.finish(job)
        return job

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/jobs/{job}")
        return found


@dataclass
class Shelf:
    """Two recipes on breast_cancer, two seeds each and all of one name; and one that diverged at once."""

    plain: list[str]
    cocktail: list[str]
    diverged: str
    dataset: str

    @classmethod
    def of(cls, site: Site) -> Self:
        spec = {
            "dataset": "breast_cancer",
            "network": {"hidden": [32]},
            "metrics": ["roc_auc", "average_precision"],
        }

        def submit(recipe: dict[str, Any], team: str, seed: int) -> str:
            training = {"max_epochs": 30, "seed": seed}
            labels = {"team": team, "year": 2026}
            return site.submit(
                spec, name="credit risk", regularization=recipe, training=training, metadata=labels
            )

        plain = [submit({}, "risk", seed) for seed in (0, 1)]
        cocktail = [submit({"l2": 0.001, "dropout": 0.5}, "growth", seed) for seed in (0, 1)]
        diverged = site.submit(DIVERGING, name="too fast")
        site.finish(*plain, *cocktail, diverged)
        return cls(plain, cocktail, diverged, site.job(plain[0])["dataset"]["id"])

    @property
    def jobs(self) -> list[str]:
        return [*self.plain, *self.cocktail]


SLIDER = "Number(document.querySelector('.slide input')?.max ?? 0)"
"""The last epoch that the page knows."""


def until(page: Page, expression: str) -> None:
    """Wait until something holds in the page; Playwright's own way would need a policy that allows eval."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(25)


def await_title(page: Page, title: str) -> None:
    """Wait until the browser calls the page so."""
    until(page, f"document.title === {title + ' · Ridgeline'!r}")


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    page.get_by_role("heading", level=1, name=text).wait_for()


def job_of(page: Page) -> str:
    """The job that a page shows."""
    found = re.search(r"#/jobs/(job_\w+)", page.url)
    assert found
    return found[1]


def row_of(page: Page, job: str) -> Any:
    """The row of a list that is of a job."""
    return page.locator(f"main tr:has(a[href='#/jobs/{job}'])")


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep how a page looks, where `PICTURES` is set: to draw and pack one costs half a second."""
    if "PICTURES" not in os.environ:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)


def ask(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """What an expression comes to over `it`, a module of the dashboard, and `given`, the argument."""
    script = f"async (given) => {{ const it = await import('/dashboard/{module}'); return {expression}; }}"
    return page.evaluate(script, argument)


def overflows(page: Page) -> list[str]:
    """What is wider than the page, or than the box that holds it: cut, or to be scrolled to."""
    found: list[str] = page.evaluate(
        """() => {
            const isCut = (one) => one.scrollWidth > one.clientWidth + 1;
            const boxes = [...document.querySelectorAll("main .scroll, .tray")].filter(isCut);
            const page = document.documentElement;
            const named = (one) => `${one.tagName} ${one.ariaLabel ?? one.className} `;
            const told = (one) => `${named(one)} ${one.scrollWidth} > ${one.clientWidth}`;
            const cut = page.scrollWidth > innerWidth ? [page, ...boxes] : boxes;
            return cut.map(told);
        }"""
    )
    return found


def write_rows(path: Path, head: str, rows: int = 40) -> Path:
    """A file with a line of names and some rows of three columns."""
    path.write_text(f"{head}\n" + "".join(f"{i},{i * 7 % 5},{i % 2}\n" for i in range(rows)))
    return path
