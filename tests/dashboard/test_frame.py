"""What surrounds every page: signing in, a server that goes away, hostile names, sizes, the keyboard."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.dashboard.sites import (
    FOR_NOBODY,
    HOSTILE,
    MIDDLE,
    NARROW,
    QUICK,
    WIDE,
    heading,
    overflows,
    picture,
    row_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Shelf, Site

pytestmark = pytest.mark.browser


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_signing_in_being_refused_and_being_put_out(site: Site, shelf: Shelf, opened: Opened) -> None:
    page = opened("#/jobs", key=False)
    heading(page, "Sign in")
    picture(page, "sign-in")
    page.get_by_label("API key").fill("rl_0123_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.locator(".wrong", has_text=re.compile("key")).wait_for()
    assert page.evaluate("sessionStorage.getItem('ridgeline-key')") is None
    made = site.client.post("/v1/keys", {"name": "visitor", "scopes": ["read"]})
    page.get_by_label("API key").fill(made["key"])
    page.get_by_role("button", name="Sign in").click()
    heading(page, "Jobs")
    assert page.evaluate("[sessionStorage.length, localStorage.getItem('ridgeline-key')]") == [1, None]
    row_of(page, shelf.plain[0]).get_by_role("checkbox").check()
    site.client.delete(f"/v1/keys/{made['id']}")
    heading(page, "Sign in")
    page.get_by_role("region", name="Ticked jobs").wait_for(state="hidden")
    assert page.evaluate("sessionStorage.length") == 0  # Neither the key nor what its owner had ticked.


# ── what may go wrong ───────────────────────────────────────────────────────────────────────────────────────


def test_hostile_names_are_text(site: Site, opened: Opened, tmp_path: Path) -> None:
    column = '"<script>document.title=1</script>"'
    table = tmp_path / "hostile.csv"
    table.write_text(
        f"{column},b,y\n"
        + "".join(f"{i},<b>{'w' * 10_000 if i == 3 else i}</b>,{i % 2}\n" for i in range(40))
    )
    dataset = site.client.upload(table, name=HOSTILE)
    job = site.finished(
        {"dataset": dataset["id"], "training": {"max_epochs": 5}}, name=HOSTILE, metadata={"k": "v" * 1000}
    )
    site.client.patch(f"/v1/jobs/{job}", {"notes": HOSTILE})
    places = {
        "#/jobs": "Submitted",
        f"#/jobs/{job}": "Learning curve",
        f"#/compare?jobs={job}": "What came of it",
        f"#/datasets/{dataset['id']}": "Tick some",
        "#/datasets": "Another one",
        "#/compare": "Tick up to",
        f"#/new?from={job}": "parameters ·",
    }
    page = opened("#/jobs", size=NARROW)
    row_of(page, job).get_by_role("checkbox").check()
    for place, text in places.items():
        page.evaluate(f"location.hash = {place!r}")
        page.get_by_text(text).first.wait_for(state="attached")
        page.get_by_text("<img src=x onerror=").first.wait_for(state="attached")
        assert page.title().endswith("Ridgeline")
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


INLINE = """() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
}"""


def test_an_inline_script_is_not_run(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(site.address)
    page.evaluate(INLINE)
    assert page.evaluate("window.ran") is None
    page.close()


def test_a_server_that_does_not_answer_is_away_until_it_does(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    page.route("**/v1/**", lambda route: route.abort())
    page.locator("#away", has_text="does not answer").wait_for()
    picture(page, "server-gone")
    job = site.submit(FOR_NOBODY, name="after the fall")
    page.unroute("**/v1/**")
    page.locator("#away").wait_for(state="hidden")
    row_of(page, job).wait_for()


@pytest.mark.long
def test_the_server_killed_and_back(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    api = next(each for each in psutil.process_iter(["cmdline"]) if _serves(each, site.address))
    os.kill(api.pid, signal.SIGKILL)
    page.locator("#away", has_text="does not answer").wait_for()
    page.locator("#away").wait_for(state="hidden")
    job = site.submit(QUICK, name="after the kill")
    row_of(page, job).wait_for()


def _serves(process: psutil.Process, address: str) -> bool:
    """Whether this is the API that listens there."""
    if "api" not in (process.info["cmdline"] or ()):
        return False
    listening = {each.laddr.port for each in process.net_connections("tcp") if each.status == "LISTEN"}
    return urlsplit(address).port in listening


def test_what_is_not_there(opened: Opened) -> None:
    page = opened("#/nowhere")
    heading(page, "There is no such page")
    page.evaluate("location.hash = '#/jobs/job_01a2232631eb762cba18a69158bb0000'")
    heading(page, "It is not here")
    assert page.title() == "It is not here · Ridgeline"


@pytest.mark.long
def test_a_server_that_hangs_is_as_good_as_away(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    api = next(each for each in psutil.process_iter(["cmdline"]) if _serves(each, site.address))
    os.kill(api.pid, signal.SIGSTOP)
    try:
        page.locator("#away", has_text="does not answer").wait_for(timeout=30_000)
    finally:
        os.kill(api.pid, signal.SIGCONT)
    page.locator("#away").wait_for(state="hidden")


# ── for everybody ───────────────────────────────────────────────────────────────────────────────────────────

LONG = "a name that goes on and on " + "without_a_break" * 8
NUMBERS = 12_345_678


@pytest.fixture(scope="package")
def long_jobs(site: Site, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two jobs with long names, of columns with long names, and eight digits before each decimal sign."""
    table = tmp_path_factory.mktemp("long") / "long.csv"
    head = f"{'predictor_' * 9},rooms,{'the_price_of_it_' * 6}\n"
    table.write_text(head + "".join(f"{i},{i % 7},{NUMBERS + 1000.5 * i}\n" for i in range(80)))
    dataset = site.client.upload(table, name=LONG)["id"]
    spec = {"dataset": dataset, "preprocessing": {"target": "none"}, "metrics": ["rmse", "mae", "r2"]}
    labels = {"an unusually long key of a label": "and a value " * 20}
    more = {"name": LONG, "metadata": labels, "training": {"max_epochs": 12}}
    recipes: list[dict[str, Any]] = [{}, {"l2": 0.01, "dropout": 0.25, "batch_norm": True}]
    jobs = [site.submit(spec, **more, regularization=recipe) for recipe in recipes]
    site.finish(*jobs)
    return jobs


@pytest.fixture(scope="package")
def places(shelf: Shelf) -> dict[str, tuple[str, str]]:
    """Every page, with something on it, and what stands there once it is all there."""
    return {
        "jobs": (f"#/jobs?name=credit*&dataset={shelf.dataset}", "credit risk"),
        "job": (f"#/jobs/{shelf.cocktail[0]}", "Columns by the norm"),
        "failed": (f"#/jobs/{shelf.diverged}", "Try this"),
        "compare": (f"#/compare?jobs={','.join(shelf.jobs)}", "What they differ in"),
        "pick": ("#/compare", "credit risk"),
        "datasets": ("#/datasets", "bundled"),
        "dataset": (f"#/datasets/{shelf.dataset}", "Tick some"),
        "new": (f"#/new?from={shelf.cocktail[0]}", "parameters ·"),
    }


COLORFUL = ("jobs", "failed", "compare")
"""Pages on which every color is that text has on any."""


@pytest.mark.parametrize("name", ["jobs", "job", "failed", "compare", "pick", "datasets", "dataset", "new"])
def test_every_page_is_accessible(
    name: str, places: dict[str, tuple[str, str]], shelf: Shelf, opened: Opened
) -> None:
    """By axe's rules at a desk's size, and by those on colors on a phone, dark."""
    place, text = places[name]
    page = opened(place)
    page.get_by_text(text).first.wait_for(state="attached")
    if name in ("jobs", "dataset"):
        row_of(page, shelf.plain[0]).get_by_role("checkbox").check()
    if name in ("job", "compare"):
        page.locator(".plot canvas").first.wait_for()
    picture(page, f"{name}-1280-light", whole=True)
    assert _complaints(page) == []
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark")
    picture(page, f"{name}-390-dark", whole=True)
    complaints = _complaints(page, ["color-contrast"]) if name in COLORFUL else []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    assert complaints == []


SCROLLS = {"First rows", "Columns", "Rows", "Predictions"}
"""Tables of a file's own columns, of which there may be thousands: they scroll by themselves at any width."""


def test_nothing_is_cut_at_a_desk_and_nothing_sticks_out_on_a_phone(
    site: Site, shelf: Shelf, long_jobs: list[str], opened: Opened
) -> None:
    """With long names, long metrics and numbers of eight digits, and with none of these."""
    long = site.job(long_jobs[0])["dataset"]["id"]
    places = {
        "#/jobs?metric=val_average_precision": "credit risk",
        "#/jobs?name=a+name*&metric=val_rmse": LONG,
        f"#/jobs/{long_jobs[1]}": "Columns by the norm",
        f"#/jobs/{shelf.diverged}": "Try this",
        f"#/compare?jobs={','.join(long_jobs)}": "What they differ in",
        f"#/compare?jobs={','.join([*shelf.jobs, *long_jobs])}": "What they differ in",
        "#/compare": "Tick up to",
        "#/datasets": LONG,
        f"#/datasets/{long}": "Tick some",
        f"#/new?from={long_jobs[0]}": "parameters ·",
    }
    cut = {}
    page = opened("#/jobs?name=a+name*")
    row_of(page, long_jobs[0]).get_by_role("checkbox").check()
    for at, (place, text) in enumerate(places.items()):
        page.evaluate(f"location.hash = {place!r}")
        page.get_by_text(text).first.wait_for(state="attached")
        picture(page, f"long-{at}-1280", whole=True)
        cut[place] = [one for one in overflows(page) if not any(f" {known} " in one for known in SCROLLS)]
        for size in (MIDDLE, NARROW):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            cut[place] += [one for one in overflows(page) if one.startswith("HTML")]
        picture(page, f"long-{at}-390", whole=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    assert {place: some for place, some in cut.items() if some} == {}


def _complaints(page: Page, rules: list[str] | None = None) -> list[Any]:
    from axe_playwright_python.sync_playwright import Axe

    chosen = {"runOnly": rules} if rules else {}
    # Of rows that are alike two are looked at: axe measures each cell against what lies behind it.
    alike = {"exclude": [["tbody tr:nth-child(n + 3)"], [".technique ~ .technique ~ .technique"]]}
    found = Axe().run(page, context=alike, options=chosen).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]][:3]) for each in found]


def test_the_keyboard_gets_everywhere(shelf: Shelf, opened: Opened) -> None:
    page = opened("#/jobs")
    page.reload()  # So that the first Tab is the first.
    row_of(page, shelf.plain[0]).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    first = page.locator("main tbody tr").first.locator("a").first.get_attribute("href")
    focused = "document.activeElement.getAttribute('href') ?? document.activeElement.textContent"
    reached: list[str] = []
    while first not in reached and len(reached) < 20:  # Through the filters, the heads and a box.
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    assert first in reached, reached
    assert "Gap" in reached
    page.locator(f"main a[href='#/jobs/{shelf.plain[0]}']").focus()
    page.keyboard.press("Enter")
    page.get_by_role("slider", name="Read the curve at an epoch").wait_for()
    page.get_by_role("slider", name="Read the curve at an epoch").focus()
    page.keyboard.press("Home")
    page.locator(".reading", has_text=re.compile("^epoch 1 ·")).wait_for()
