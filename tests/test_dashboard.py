"""The dashboard as people use it: Debian's Chromium on a real server, with a real worker behind it.

The server asks for keys, so that everything is seen to work with one; a page of these tests has it already,
but for the one that signs in. Whatever a test does, its page may ask no other host for anything, throw
nothing and break no rule of its content security policy.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from cli.client import Client
from store import keys
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.browsers import chromium
from tests.sources import ROOT
from tests.stacks import embedded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

PICTURES = ROOT / "ci-output" / "dashboard"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
QUICK = {"dataset": "iris", "training": {"max_epochs": 12}}
ENDLESS = {
    "dataset": "digits",
    "regularization": {"dropout": 0.3, "l1": 1e-4},
    "training": {"max_epochs": 100_000},
}
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> \u202etfel ot thgir\u202c " + "long" * 30


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

    def finished(self, spec: dict[str, Any], **more: Any) -> str:
        job = self.submit(spec, **more)
        while self.client.get(f"/v1/jobs/{job}?wait=30")["status"] not in (
            "succeeded",
            "failed",
            "cancelled",
        ):
            pass
        return job


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with embedded(tmp_path_factory.mktemp("site"), auth="keys", concurrency=2) as stack:
        database = Database(stack.settings.database)
        with database, database.of(DEFAULT_PROJECT).writing() as tx:
            _, key = keys.add(tx, name="tests", scopes=["admin"])
        with Client(stack.address, key=key) as client:
            yield Site(stack.address, client, database, key)


@pytest.fixture(autouse=True)
def _nobody_trains_for_ever(site: Site) -> Iterator[None]:
    """What a test left training would keep the workers from the next one's jobs."""
    yield
    for job in site.client.listing("/v1/jobs", 100, status="queued,running,paused"):
        site.client.post(f"/v1/jobs/{job['id']}/cancel")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


Opened = Callable[..., "Page"]


@pytest.fixture
def opened(site: Site, browser: Browser) -> Iterator[Opened]:
    """`opened("#/jobs", width=…, dark=…)` is a page there, of somebody who is signed in."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_grave(said.type, said.text) else None)
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: wrong.append(request.url) if _leaves(request.url, site) else None)

    def open_(place: str, *, size: dict[str, int] = WIDE, dark: bool = False, key: bool = True) -> Page:
        context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light")  # type: ignore[arg-type]
        contexts.append(context)
        if key:
            context.add_init_script(f"sessionStorage.setItem('ridgeline-key', '{site.key}')")
        page = context.new_page()
        page.set_default_timeout(20_000)
        watch(page)
        page.goto(f"{site.address}/{place}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def _is_grave(kind: str, text: str) -> bool:
    """A browser also tells of every answer that is an error, which may be part of a test."""
    return "Content Security" in text or (kind == "error" and not text.startswith("Failed to load resource"))


def _leaves(url: str, site: Site) -> bool:
    """Whether a request goes to another host; `data:` and `blob:` go nowhere."""
    return urlsplit(url).scheme not in ("data", "blob") and not url.startswith(site.address)


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)


def until(page: Page, expression: str) -> None:
    """Wait until something holds in the page; Playwright's own way would need a policy that allows eval."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


SLIDER = "Number(document.querySelector('.slide input')?.max ?? 0)"
"""The last epoch that the page knows."""


def job_of(page: Page) -> str:
    """The job that a page shows."""
    found = re.search(r"#/jobs/(job_\w+)", page.url)
    assert found
    return found[1]


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    page.get_by_role("heading", level=1, name=text).wait_for()


# ── the whole way ───────────────────────────────────────────────────────────────────────────────────────────


def test_from_a_file_to_a_network_and_its_comparison(site: Site, opened: Opened) -> None:
    page = opened("#/datasets")
    page.set_input_files("#file", ROOT / "examples" / "wine.csv")
    page.get_by_label("Target").fill("target")
    page.get_by_role("button", name="Upload").click()
    heading(page, "wine")
    picture(page, "dataset")

    page.get_by_role("link", name="Train on it").click()
    page.get_by_label("Dropout", exact=True).wait_for()
    page.get_by_text("parameters ·").wait_for()  # The API has said what suits these data.
    page.get_by_label("My own cocktail").check()
    page.get_by_label("Early stopping", exact=True).uncheck()
    page.get_by_label("Max epochs").fill("100000")
    spec = page.get_by_label("Spec", exact=True)
    assert '"early_stopping"' not in spec.input_value()
    assert '"max_epochs": 100000' in spec.input_value()
    picture(page, "new-job")
    page.get_by_role("button", name="Submit").click()

    page.get_by_role("button", name="Finish").wait_for()
    until(page, f"{SLIDER} > 1")
    until(page, f"{SLIDER} > {page.evaluate(SLIDER) + 20}")
    picture(page, "job-running")
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("dialog").get_by_role("button", name="Finish").click()
    page.get_by_role("heading", name="Result").wait_for()
    assert page.locator(".head .pill").inner_text() == "succeeded"
    page.get_by_role("heading", name="Weights", exact=True).wait_for()

    first = job_of(page)
    second = site.finished(
        {"dataset": site.client.get(f"/v1/jobs/{first}")["dataset"]["id"], "training": {"max_epochs": 30}}
    )
    page.goto(f"{site.address}/#/jobs")
    for job in (first, second):
        page.locator(f"tr:has(a[href='#/jobs/{job}']) input").check()
    page.get_by_role("link", name="Compare 2 jobs").click()
    heading(page, "2 jobs compared")
    differing = page.get_by_role("columnheader", name="training · max epochs")
    differing.wait_for()
    page.locator(".plot canvas").first.wait_for()
    picture(page, "compare-two")


def test_rows_arrive_and_change_by_themselves(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    job = site.submit(ENDLESS, name="arrives")
    row = page.locator(f"tr:has(a[href='#/jobs/{job}'])")
    row.get_by_text("running").wait_for()
    row.locator(".spark path").first.wait_for(state="attached")
    row.get_by_text(re.compile(r"\d+ / 100K · ≤")).wait_for()
    picture(page, "jobs-running")
    site.client.post(f"/v1/jobs/{job}/cancel", {})
    row.get_by_text("cancelled").wait_for()


def test_pause_resume_cancel(site: Site, opened: Opened) -> None:
    job = site.submit(ENDLESS, name="steered")
    page = opened(f"#/jobs/{job}")
    until(page, f"{SLIDER} > 3")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert site.client.get(f"/v1/jobs/{job}")["status"] in ("queued", "running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.locator(".head .pill", has_text="cancelled").wait_for()


def test_what_is_wrong_stands_at_its_field_and_can_be_mended(opened: Opened) -> None:
    page = opened("#/new?dataset=iris")
    page.get_by_text("parameters ·").wait_for()
    page.get_by_label("My own cocktail").check()
    field = page.locator(".field", has=page.get_by_label("Hidden")).nth(0)
    field.locator("input").fill("0.5, 1.2")
    field.get_by_text("below 1, not 1.2").wait_for()
    assert field.locator("input").get_attribute("aria-invalid") == "true"
    assert page.get_by_role("button", name="Submit").is_disabled()
    picture(page, "new-job-wrong")
    page.get_by_role("button", name="Use 0.9").click()
    page.get_by_text("parameters ·").wait_for()
    assert field.locator("input").input_value() == "0.5, 0.9"
    assert page.get_by_role("button", name="Submit").is_enabled()

    page.get_by_label("Spec", exact=True).fill('{"dataset": "iris", ')
    page.get_by_text("This is not JSON yet").wait_for()
    page.get_by_label("Spec", exact=True).fill(
        '{"dataset": "iris", "training": {"batch_size": 8}, "regularization": {"batch_norm": true}}'
    )
    page.get_by_text("batch statistics of 8 rows are noisy").wait_for()
    assert page.get_by_label("Batch size").input_value() == "8"


def test_a_network_at_work_and_again_with_changes(site: Site, opened: Opened) -> None:
    job = site.finished(QUICK, name="first", regularization={"dropout": 0.2})
    page = opened(f"#/jobs/{job}")
    page.get_by_role("button", name="Predict").click()
    answered = page.get_by_role("table", name="Predictions")
    answered.get_by_role("columnheader", name="virginica").wait_for()
    assert answered.locator("tbody tr").count() == 3
    with page.expect_download() as model:
        page.get_by_role("button", name="ONNX").click()
    assert model.value.path().read_bytes() == site.client.read(f"/v1/jobs/{job}/model")
    page.get_by_role("link", name="Again with changes").click()
    page.get_by_text("parameters ·").wait_for()
    page.get_by_label("L1", exact=True).check()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("heading", name="Result").wait_for()
    spec = site.client.get(f"/v1/jobs/{job_of(page)}")["spec"]
    assert (spec["name"], spec["training"]["max_epochs"]) == ("first", 12)
    assert spec["regularization"]["l1"]["strength"] == 1e-4
    assert spec["regularization"]["dropout"]["hidden"] == [0.2, 0.2]


def test_what_to_try_next_is_one_press_away(site: Site, opened: Opened) -> None:
    overfitting = {"network": {"hidden": [256, 256]}, "regularization": {}, "training": {"max_epochs": 60}}
    job = site.finished({"dataset": "diabetes", **overfitting})
    page = opened(f"#/jobs/{job}")
    page.get_by_role("heading", name="Diagnosis").wait_for()
    found = site.client.get(f"/v1/jobs/{job}/diagnosis")
    assert found["verdict"] == "overfitting"
    page.get_by_text(found["summary"]).wait_for()
    picture(page, "job-overfitting")
    page.get_by_role("link", name="Try this").first.click()
    page.get_by_text("parameters ·").wait_for()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("heading", name="Result").wait_for()
    technique, wanted = (found["suggestions"][0][name] for name in ("technique", "patch"))
    wanted = wanted["regularization"]
    tried = site.client.get(f"/v1/jobs/{job_of(page)}")["spec"]["regularization"]
    assert {name for name in wanted if tried[name]} == set(wanted)
    page.get_by_role("link", name="Compare with the one before").click()
    heading(page, "2 jobs compared")
    page.get_by_role("columnheader", name=technique).wait_for()


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_signing_in_being_refused_and_being_put_out(site: Site, opened: Opened) -> None:
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
    site.client.delete(f"/v1/keys/{made['id']}")
    heading(page, "Sign in")
    assert page.evaluate("sessionStorage.getItem('ridgeline-key')") is None


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
    places = {
        "#/jobs": "Submitted",
        f"#/jobs/{job}": "Learning curve",
        f"#/compare?jobs={job}": "what came of it",
        f"#/datasets/{dataset['id']}": "First rows",
        "#/datasets": "Another one",
        "#/compare": "Pick up to",
        f"#/new?from={job}": "parameters ·",
    }
    for place, text in places.items():
        page = opened(place, size=NARROW)
        page.get_by_text(text).first.wait_for(state="attached")
        page.get_by_text("<img src=x onerror=").first.wait_for(state="attached")
        assert "Ridgeline" in page.title()
        assert page.locator("main img, main script").count() == 0
        assert _is_within(page), place


def _is_within(page: Page) -> bool:
    """Nothing sticks out at the side."""
    within: bool = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return within


INLINE = """() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
}"""


def test_an_inline_script_is_not_run(opened: Opened, site: Site, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(site.address)
    page.evaluate(INLINE)
    assert page.evaluate("window.ran") is None
    page.close()


def test_the_server_gone_and_back(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    api = next(each for each in psutil.process_iter(["cmdline"]) if _serves(each, site.address))
    os.kill(api.pid, signal.SIGKILL)
    page.locator("#away", has_text="does not answer").wait_for()
    picture(page, "server-gone")
    page.locator("#away").wait_for(state="hidden")
    job = site.submit(QUICK, name="after the fall")
    page.locator(f"a[href='#/jobs/{job}']").wait_for()


def _serves(process: psutil.Process, address: str) -> bool:
    """Whether this is the API that listens there."""
    if "api" not in (process.info["cmdline"] or ()):
        return False
    listening = {each.laddr.port for each in process.net_connections("tcp") if each.status == "LISTEN"}
    return urlsplit(address).port in listening


def test_what_is_not_there(opened: Opened) -> None:
    page = opened("#/nowhere")
    heading(page, "There is no such page")
    page.goto(page.url.replace("nowhere", "jobs/job_01a2232631eb762cba18a69158bb0000"))
    heading(page, "It is not here")


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


def test_pages_of_the_list_keep_what_was_picked(site: Site, opened: Opened) -> None:
    brief = {"dataset": "iris", "training": {"max_epochs": 1}}
    ids = [site.submit(brief, name="many") for _ in range(52)]
    page = opened("#/jobs?name=many")
    rows = page.locator("tbody tr")
    until(page, "document.querySelectorAll('tbody tr').length === 50")
    for job in ids[-2:]:
        page.locator(f"tr:has(a[href='#/jobs/{job}']) input").check()
    page.get_by_role("button", name="Older").dblclick()
    until(page, "document.querySelectorAll('tbody tr').length === 2")
    assert page.get_by_role("link", name="Compare 2 jobs").is_visible()
    rows.first.locator("a").first.click()
    page.get_by_role("heading", name="Result").wait_for()
    page.go_back()
    until(page, "document.querySelectorAll('tbody tr').length === 2")
    page.get_by_role("button", name="Newer").click()
    until(page, "document.querySelectorAll('tbody tr').length === 50")
    assert page.get_by_role("button", name="Newer").is_disabled()
    page.get_by_label("whole name").fill("none is called so")
    page.get_by_text("No job is like that.").wait_for()
    assert page.evaluate("document.activeElement.type") == "search"


def test_a_live_page_leaves_the_keyboard_where_it_is(site: Site, opened: Opened) -> None:
    job = site.submit(ENDLESS, name="watched")
    page = opened(f"#/jobs/{job}")
    until(page, f"{SLIDER} > 3")
    link = page.locator(".facts a").first
    link.focus()
    until(page, f"{SLIDER} > {page.evaluate(SLIDER) + 60}")
    assert link.evaluate("one => one === document.activeElement")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for()
    page.evaluate("location.hash = '#/datasets'")
    heading(page, "Datasets")
    page.get_by_role("dialog").wait_for(state="detached")
    assert site.client.get(f"/v1/jobs/{job}")["status"] == "running"


def test_nothing_is_left_of_pages_that_were_left(site: Site, opened: Opened) -> None:
    job = site.finished(QUICK, name="visited")
    page = opened(f"#/jobs/{job}")
    for _ in range(4):
        page.locator(".plot canvas").nth(1).wait_for()
        page.get_by_role("button", name="Change between light and dark").click()
        page.get_by_label("Log axis").check()
        page.locator(".plot canvas").nth(1).wait_for()
        page.evaluate("location.hash = '#/datasets'")
        heading(page, "Datasets")
        page.evaluate(f"location.hash = '#/jobs/{job}'")
    page.locator(".plot canvas").nth(1).wait_for()
    until(page, "Bokeh.documents.length === 2")


# ── for everybody ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def places(site: Site) -> dict[str, str]:
    """Every page, with something on it."""
    spec = {"dataset": "breast_cancer", "network": {"hidden": [32]}, "training": {"max_epochs": 60}}
    jobs = [
        site.finished(spec, name=name, regularization=own, training={"max_epochs": 60, "seed": seed})
        for name, own in (("plain", {}), ("cocktail", {"l1": 1e-4, "dropout": 0.3, "batch_norm": True}))
        for seed in (0, 1)
    ]
    dataset = site.client.get(f"/v1/jobs/{jobs[0]}")["dataset"]["id"]
    return {
        "jobs": "#/jobs",
        "job": f"#/jobs/{jobs[-1]}",
        "compare": f"#/compare?jobs={','.join(jobs)}",
        "pick": "#/compare",
        "datasets": "#/datasets",
        "breast-cancer": f"#/datasets/{dataset}",
        "new": f"#/new?from={jobs[-1]}",
    }


SHOWN = {
    "jobs": "cocktail",
    "job": "Columns by the norm",
    "compare": "Over seeds",
    "pick": "cocktail",
    "datasets": "bundled",
    "breast-cancer": "First rows",
    "new": "parameters ·",
}
"""What stands on each page once it is all there."""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize("name", SHOWN)
def test_every_page_fits_and_is_accessible(
    name: str, size: dict[str, int], places: dict[str, str], opened: Opened
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(places[name], size=size, dark=size is NARROW)
    page.get_by_text(SHOWN[name]).first.wait_for(state="attached")
    if name in ("job", "compare"):
        page.locator(".plot canvas").first.wait_for()
        page.wait_for_timeout(500)  # For the picture's sake: the curve is drawn in the next frames.
    picture(page, f"{name}-{size['width']}-{'dark' if size is NARROW else 'light'}", whole=True)
    assert _is_within(page)
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]][:3]) for each in found] == []


def test_the_keyboard_gets_everywhere(places: dict[str, str], opened: Opened) -> None:
    page = opened("#/jobs")
    row = page.locator("tbody tr").first
    row.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    focused = "document.activeElement.getAttribute('href') ?? document.activeElement.type"
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    link = row.locator("a").first.get_attribute("href")
    assert link in reached, reached
    page.locator(f"a[href='{link}']").focus()
    page.keyboard.press("Enter")
    page.get_by_role("slider", name="Read the curve at an epoch").wait_for()
    page.get_by_role("slider", name="Read the curve at an epoch").focus()
    page.keyboard.press("Home")
    page.locator(".reading", has_text=re.compile("^epoch 1 ·")).wait_for()
