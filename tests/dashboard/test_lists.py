"""Lists of jobs: sorted, narrowed, paged; what is ticked in them, and what is done with it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.dashboard.sites import ENDLESS, FOR_NOBODY, ask, await_title, heading, picture, row_of, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Shelf, Site

pytestmark = pytest.mark.browser

MINE = f"name={quote('credit risk')}&dataset=breast_cancer"
ORDER = "[...document.querySelectorAll('main tbody .name a')].map((one) => one.hash.slice('#/jobs/'.length))"


VALUES = "[...document.querySelectorAll('.leaderboard tbody tr')].map((row) => row.cells[4].textContent)"


def tick(page: Page, *jobs: str) -> None:
    for job in jobs:
        row_of(page, job).get_by_role("checkbox").check()


# ── sorted ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_head_sorts_by_its_column_and_the_address_keeps_it(
    site: Site, shelf: Shelf, opened: Opened
) -> None:
    def ranked(split: str, metric: str, sign: int) -> list[str]:
        return sorted(shelf.jobs, key=lambda job: sign * site.job(job)["result"][split][metric])

    page = opened(f"#/jobs?{MINE}")
    head = page.get_by_role("columnheader", name="Val. loss")
    head.get_by_role("button").click()
    until(page, f"String({ORDER}) === '{','.join(ranked('validation', 'loss', 1))}'")
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    until(page, f"String({ORDER}) === '{','.join(ranked('validation', 'loss', -1))}'")
    assert head.get_attribute("aria-sort") == "descending"

    page.get_by_label("Metric").select_option("val_roc_auc")
    best = sorted(site.job(job)["result"]["validation"]["roc_auc"] for job in shelf.jobs)[-1]
    until(page, "location.hash.includes('sort=-val_roc_auc')")  # Sorted by it, the best first.
    page.reload()
    page.get_by_role("columnheader", name="validation roc auc").wait_for()
    until(page, f"{ORDER}.length === 4")
    first = site.job(page.evaluate(f"{ORDER}[0]"))
    assert first["result"]["validation"]["roc_auc"] == best
    marked = page.locator("td.metric.best")
    assert marked.count() >= 1
    assert marked.first.get_attribute("title") == "the best of breast_cancer on this page"
    assert row_of(page, first["id"]).locator("td.metric.best").count() == 1
    picture(page, "jobs-sorted")


def test_who_sorts_by_a_test_metric_is_told_what_that_costs(opened: Opened) -> None:
    page = opened(f"#/jobs?{MINE}&sort=-test_roc_auc")
    notices = page.get_by_role("status", name="Notices")
    notices.get_by_text("spends the test split").wait_for()
    page.get_by_role("columnheader", name="test roc auc").wait_for()
    page.get_by_role("columnheader", name="Submitted").get_by_role("button").click()
    notices.wait_for(state="detached")


def test_a_sort_that_there_is_not_is_told_beside_the_fields(opened: Opened) -> None:
    page = opened("#/jobs?sort=val_los")
    page.get_by_role("alert").get_by_text("val_loss").wait_for()
    page.get_by_label("Status").select_option("succeeded")
    assert page.get_by_role("heading", name="Jobs").is_visible()


# ── narrowed ────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_that_begin_alike_and_labels(site: Site, shelf: Shelf, opened: Opened) -> None:
    page = opened("#/jobs?dataset=breast_cancer")
    page.get_by_label("Name, or how it begins").fill("credit*")
    until(page, "location.hash.includes('name=credit*')")
    page.get_by_label("Labels").fill("team=risk, year=2026")
    until(page, f"String({ORDER}.sort()) === '{','.join(sorted(shelf.plain))}'")
    assert "metadata.team=risk" in page.url
    page.reload()
    until(page, f"{ORDER}.length === 2")
    assert page.get_by_label("Labels").input_value() == "team=risk, year=2026"
    await_title(page, "credit*, breast_cancer, team=risk, year=2026 · Jobs")
    page.get_by_label("Labels").fill("risk")
    page.get_by_text("a label is written key=value").wait_for()
    page.get_by_label("Labels").fill("team=nobody")
    page.get_by_text("No job is like that.").wait_for()
    page.get_by_role("link", name="Show all jobs").click()
    row_of(page, shelf.cocktail[0]).wait_for()


def test_labels_are_read_as_they_are_written(opened: Opened) -> None:
    page = opened("#/datasets")
    pairs = {"metadata.team": "risk", "metadata.note": 'a, "b" = c', "metadata. odd": "x"}
    written = ask(page, "labeltext.js", "it.labelsOf(given)", pairs)
    assert ask(page, "labeltext.js", "it.readLabels(given)", written) == {
        "metadata.team": "risk",
        "metadata.note": 'a, "b" = c',
        "metadata.odd": "x",
    }
    wrong = "try { it.readLabels(given); } catch (error) { return error.message; }"
    script = f"async (given) => {{ const it = await import('/dashboard/labeltext.js'); {wrong} }}"
    assert "key=value" in page.evaluate(script, "team")
    assert "twice" in page.evaluate(script, "team=a, team=b")


# ── ticked ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_ticks_stay_over_pages_and_filters_and_the_bar_with_them(site: Site, opened: Opened) -> None:
    ids = [site.submit(FOR_NOBODY, name="many") for _ in range(52)]
    page = opened("#/jobs?name=many")
    until(page, "document.querySelectorAll('main tbody tr').length === 50")
    tick(page, *ids[-2:])
    bar = page.get_by_role("region", name="Ticked jobs")
    bar.get_by_text("2 ticked").wait_for()
    assert bar.evaluate("(one) => one.getBoundingClientRect().bottom <= innerHeight + 1")
    page.get_by_role("button", name="Next").dblclick()
    until(page, "document.querySelectorAll('main tbody tr').length === 2")
    tick(page, ids[0])
    assert bar.get_by_text("3 ticked").is_visible()
    page.locator("main tbody a").first.click()
    heading(page, "many")
    assert bar.get_by_role("link", name="Compare 3").is_visible()
    page.go_back()
    until(page, "document.querySelectorAll('main tbody tr').length === 2")
    page.get_by_role("button", name="Previous").click()
    until(page, "document.querySelectorAll('main tbody tr').length === 50")
    assert page.get_by_role("button", name="Previous").is_disabled()
    assert row_of(page, ids[-1]).get_by_role("checkbox").is_checked()
    page.reload()
    bar.get_by_text("3 ticked").wait_for()

    page.get_by_label("Tick all on this page").check()
    bar.get_by_text("51 ticked").wait_for()
    assert bar.get_by_role("link", name="Compare the first 20").is_visible()
    page.get_by_label("Name, or how it begins").fill("none is called so")
    page.get_by_text("No job is like that.").wait_for()
    assert page.evaluate("document.activeElement.type") == "search"
    bar.get_by_role("button", name="Clear").click()
    bar.wait_for(state="hidden")
    assert page.evaluate("sessionStorage.length") == 1


def test_several_are_cancelled_and_deleted_at_once(site: Site, opened: Opened) -> None:
    waiting = [site.submit(FOR_NOBODY, name="goes") for _ in range(5)]
    busy = site.submit(ENDLESS, name="goes on")
    ended = [site.submit(FOR_NOBODY, name="goes") for _ in range(2)]
    for job in ended:
        site.client.post(f"/v1/jobs/{job}/cancel")
    page = opened("#/jobs?name=goes*")
    row_of(page, busy).get_by_text("running").wait_for()
    page.get_by_label("Tick all on this page").check()
    bar = page.get_by_role("region", name="Ticked jobs")
    dialog = page.get_by_role("dialog")
    bar.get_by_role("button", name="Delete 2").click()
    dialog.get_by_text("6 others have not ended, and stay").wait_for()
    picture(page, "delete-several")
    dialog.get_by_role("button", name="Delete").click()
    bar.get_by_text("Deleted 2 jobs.").wait_for()
    bar.get_by_role("button", name="Delete").click()
    bar.get_by_text("None of them has ended").wait_for()

    # While the page asks, one ends and another is deleted: neither can be cancelled any more.
    bar.get_by_role("button", name="Cancel 6").click()
    dialog.wait_for()
    site.client.post(f"/v1/jobs/{busy}/finish")
    site.client.post(f"/v1/jobs/{waiting[0]}/cancel")
    site.client.delete(f"/v1/jobs/{waiting[0]}")
    site.finish(busy)
    dialog.get_by_role("button", name="Cancel").click()
    outcome = bar.get_by_role("status")
    outcome.get_by_text("Cancelled 4 jobs.").wait_for()
    assert outcome.get_by_text("“goes” had been deleted already.").is_visible()
    assert outcome.get_by_text("Not cancelled: “goes on”. a job that is succeeded cannot").is_visible()
    assert {site.job(job)["status"] for job in waiting[1:]} == {"cancelled"}
    assert bar.get_by_text("5 ticked").is_visible()
    bar.get_by_role("button", name="Delete 5").click()
    dialog.get_by_role("button", name="Delete").click()
    bar.get_by_text("Deleted 5 jobs.").wait_for()
    assert list(site.client.listing("/v1/jobs", 100, name="goes*")) == []


def test_a_limit_that_is_reached_is_waited_for(opened: Opened) -> None:
    """Of 9 calls the third is refused once for want of requests, and the seventh for good."""
    page = opened("#/datasets")
    script = """async () => {
        const { forEach } = await import("/dashboard/several.js");
        const { Problem } = await import("/dashboard/calls.js");
        const [called, told] = [[], []];
        const act = async (job) => {
            called.push(job);
            const isFirst = called.filter((one) => one === job).length === 1;
            if (job === 3 && isFirst) throw new Problem({ detail: "slowly" }, 429, 0.05);
            if (job === 7) throw new Problem({ detail: "no" }, 409);
            if (job === 8) throw new Problem({}, 404);
        };
        const { signal } = new AbortController();
        const tell = ({ waits }) => told.push(waits);
        const found = await forEach([1, 2, 3, 4, 5, 6, 7, 8, 9], act, { signal, tell });
        found.done.sort();
        return { ...found, called: called.length, waited: told.includes(0.05) };
    }"""
    assert page.evaluate(script) == {
        "done": [1, 2, 3, 4, 5, 6, 9],
        "gone": [8],
        "refused": [{"job": 7, "why": "no"}],
        "left": [],
        "called": 10,
        "waited": True,
    }


# ── the best of a dataset ───────────────────────────────────────────────────────────────────────────────────


def test_a_datasets_best_jobs(site: Site, shelf: Shelf, opened: Opened) -> None:
    page = opened(f"#/datasets/{shelf.dataset}")
    board = page.get_by_role("region", name="Leaderboard")

    def best_first(split: str, metric: str) -> None:
        values = [site.job(job)["result"][split][metric] for job in shelf.jobs]
        ranked = [f"{value:.4g}" for value in sorted(values, reverse=metric != "loss")]
        until(page, f"String({VALUES}.slice(0, 4)) === '{','.join(ranked)}'")

    board.get_by_role(
        "columnheader", name="validation roc auc"
    ).wait_for()  # The one that its jobs name first.
    best_first("validation", "roc_auc")
    page.get_by_label("By").select_option("val_loss")
    best_first("validation", "loss")
    page.get_by_label("By").select_option("test_average_precision")
    page.get_by_text("spends the test split").wait_for()
    best_first("test", "average_precision")
    tick(page, *shelf.plain)
    picture(page, "leaderboard")
    page.get_by_role("region", name="Ticked jobs").get_by_role("link", name="Compare 2").click()
    heading(page, "2 jobs compared")
