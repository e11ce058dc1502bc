"""One server with two workers, and one browser, for all tests of the dashboard that a process runs.

The server asks for keys, so that everything is seen to work with one; a page of these tests has it already,
but for the one that signs in. Whatever a test does, its page may ask no other host for anything, throw
nothing and break no rule of its content security policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cli.client import Client
from store import keys
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.browsers import chromium
from tests.dashboard.sites import WIDE, Shelf, Site
from tests.stacks import embedded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Opened = Callable[..., "Page"]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with embedded(tmp_path_factory.mktemp("site"), auth="keys", concurrency=2) as stack:
        database = Database(stack.settings.database)
        with database, database.of(DEFAULT_PROJECT).writing() as tx:
            _, key = keys.add(tx, name="tests", scopes=["admin"])
        with Client(stack.address, key=key) as client:
            yield Site(stack.address, client, database, key)


@pytest.fixture(scope="package")
def shelf(site: Site) -> Shelf:
    """Jobs that have ended, for tests that only look at them."""
    return Shelf.of(site)


@pytest.fixture(autouse=True)
def _nobody_trains_for_ever(site: Site) -> Iterator[None]:
    """What a test left training would keep the workers from the next one's jobs."""
    yield
    for job in site.client.listing("/v1/jobs", 100, status="queued,running,paused"):
        site.client.post(f"/v1/jobs/{job['id']}/cancel")


# No loop of Playwright's may run where other tests want one of their own: it ends with this package.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@dataclass
class Desk:
    """The pages that are open, by how they look, and what went wrong on them since somebody asked."""

    site: Site
    browser: Browser
    pages: dict[object, Page] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def page(self, size: dict[str, int], *, dark: bool, key: bool) -> Page:
        """A page of such looks: one that is open already goes on, since to load it anew costs a second."""
        looks = (*size.values(), dark, key)
        if looks not in self.pages:
            self.pages[looks] = self._fresh(size, dark=dark, key=key)
        return self.pages[looks]

    def _fresh(self, size: dict[str, int], *, dark: bool, key: bool) -> Page:
        colors = "dark" if dark else "light"
        context = self.browser.new_context(viewport=size, color_scheme=colors)  # type: ignore[arg-type]
        if key:
            context.add_init_script(f"sessionStorage.setItem('ridgeline-key', '{self.site.key}')")
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._follow(request.url))
        page.goto(f"{self.site.address}/#/nowhere")
        return page

    def _hear(self, kind: str, text: str) -> None:
        """A browser also tells of every answer that is an error, which may be part of a test."""
        if "Content Security" in text or (kind == "error" and not text.startswith("Failed to load resource")):
            self.wrong.append(text)

    def _follow(self, url: str) -> None:
        """No request goes to another host; `data:` and `blob:` go nowhere."""
        if urlsplit(url).scheme not in ("data", "blob") and not url.startswith(self.site.address):
            self.wrong.append(url)

    def forget(self) -> None:
        """Close all pages: a test that failed may have left anything on them."""
        for page in self.pages.values():
            page.context.close()
        self.pages.clear()


@pytest.fixture(scope="package")
def desk(site: Site, browser: Browser) -> Iterator[Desk]:
    desk = Desk(site, browser)
    yield desk
    desk.forget()


@pytest.fixture
def opened(desk: Desk) -> Iterator[Opened]:
    """`opened("#/jobs", size=…, dark=…)` is a page there, of somebody who is signed in, nothing ticked."""
    used: list[Page] = []

    def open_(place: str, *, size: dict[str, int] = WIDE, dark: bool = False, key: bool = True) -> Page:
        page = desk.page(size, dark=dark, key=key)
        used.append(page)
        page.evaluate(f"location.hash = {place!r}")
        return page

    desk.wrong.clear()
    yield open_
    wrong = [*desk.wrong, *(problem for page in used if (problem := _left_behind(page)))]
    if wrong:
        desk.forget()
    assert wrong == []


def _left_behind(page: Page) -> str | None:
    """Make a page as it was at first; what stands in the way of that, if anything does."""
    page.evaluate(RESET)
    return "a dialog is open" if page.locator("dialog").count() else None


RESET = """async () => {
    localStorage.clear();
    delete document.documentElement.dataset.theme;
    location.hash = "#/nowhere";
    (await import("/dashboard/ticked.js")).ticked.clear();
    document.getElementById("main").focus();
    await new Promise((resolve) => setTimeout(resolve, 0));
}"""
