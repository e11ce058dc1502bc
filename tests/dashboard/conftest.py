"""One server with two workers, and one browser, for all tests of the dashboard that a process runs.

The server asks for keys, so that everything is seen to work with one; a page of these tests has it already,
but for the one that signs in. Whatever a test does, its page may ask no other host for anything, throw
nothing and break no rule of its content security policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    from playwright.sync_api import Browser, BrowserContext, Page

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


@pytest.fixture(scope="package")
def profiles(browser: Browser) -> Iterator[dict[object, BrowserContext]]:
    """Profiles by how their pages look: what one test has fetched, the next finds in the cache."""
    known: dict[object, BrowserContext] = {}
    yield known
    for profile in known.values():
        profile.close()


@pytest.fixture
def opened(site: Site, browser: Browser, profiles: dict[object, BrowserContext]) -> Iterator[Opened]:
    """`opened("#/jobs", width=…, dark=…)` is a page there, of somebody who is signed in."""
    pages: list[Page] = []
    wrong: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_grave(said.type, said.text) else None)
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: wrong.append(request.url) if _leaves(request.url, site) else None)

    def profile(size: dict[str, int], *, dark: bool, key: bool) -> BrowserContext:
        looks = (*size.values(), dark, key)
        if looks not in profiles:
            made = browser.new_context(viewport=size, color_scheme="dark" if dark else "light")  # type: ignore[arg-type]
            if key:
                made.add_init_script(f"sessionStorage.setItem('ridgeline-key', '{site.key}')")
            profiles[looks] = made
        return profiles[looks]

    def open_(place: str, *, size: dict[str, int] = WIDE, dark: bool = False, key: bool = True) -> Page:
        page = profile(size, dark=dark, key=key).new_page()
        pages.append(page)
        page.set_default_timeout(20_000)
        watch(page)
        page.goto(f"{site.address}/{place}")
        return page

    yield open_
    for page in pages:
        page.evaluate("localStorage.clear()")
        page.close()
    assert wrong == []


def _is_grave(kind: str, text: str) -> bool:
    """A browser also tells of every answer that is an error, which may be part of a test."""
    return "Content Security" in text or (kind == "error" and not text.startswith("Failed to load resource"))


def _leaves(url: str, site: Site) -> bool:
    """Whether a request goes to another host; `data:` and `blob:` go nowhere."""
    return urlsplit(url).scheme not in ("data", "blob") and not url.startswith(site.address)
