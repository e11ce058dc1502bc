"""One job's page: what it says of one that failed, waits or never began, and what people may write on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboard.sites import (
    BRIEF,
    ENDLESS,
    FOR_NOBODY,
    SLIDER,
    await_title,
    heading,
    picture,
    until,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Shelf, Site

pytestmark = pytest.mark.browser


def test_a_job_that_failed_says_why_and_draws_no_empty_chart(shelf: Shelf, opened: Opened) -> None:
    page = opened(f"#/jobs/{shelf.diverged}")
    why = page.get_by_role("region", name="Why it failed")
    why.get_by_text("The objective was no longer a finite number in epoch 1.").wait_for()
    assert why.locator(".pill").inner_text() == "diverged"
    why.get_by_text("The diagnosis below says what to try.").wait_for()
    page.get_by_role("link", name="Try this").first.wait_for()
    assert page.get_by_role("heading", name="Learning curve").count() == 0
    await_title(page, "too fast · failed")
    picture(page, "job-failed")
    page.evaluate("location.hash = '#/jobs?status=failed'")
    page.get_by_text("1 epoch · diverged").first.wait_for()


def test_a_job_that_waits_says_so_and_one_that_never_began_too(site: Site, opened: Opened) -> None:
    job = site.submit(FOR_NOBODY, name="waits")
    page = opened(f"#/jobs/{job}")
    page.get_by_role("region", name="Waiting for a worker").wait_for()
    await_title(page, "waits · queued")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("region", name="Cancelled before its first epoch").wait_for()
    await_title(page, "waits · cancelled")
    assert page.get_by_role("region", name="Waiting for a worker").count() == 0


def test_every_kind_of_failure_has_its_advice(opened: Opened) -> None:
    """Whatever reason the API may give, there is something to do about it; and a notice of it is shown."""
    from api.schemas import STOP_REASONS

    page = opened("#/datasets")
    script = """async ({ reason, waiting }) => {
        const { standing } = await import("/dashboard/ending.js");
        const error = { code: reason, detail: "so it is", pointer: "/training" };
        const progress = { epoch: 0 };
        const status = waiting ? "queued" : "failed";
        const job = { status, stop_reason: reason, stop_detail: null, progress, error, waiting, attempt: 0 };
        return standing(job).innerText;
    }"""
    failures = STOP_REASONS[STOP_REASONS.index("diverged") : -1]
    assert len(failures) == 5
    for reason in failures:
        told = page.evaluate(script, {"reason": reason, "waiting": None})
        assert "So it is." in told
        assert "pointer: /training" in told
        assert len(told) > len("Why it failed So it is. pointer: /training") + 40, reason
    notice = "no worker takes jobs for a GPU"
    told = page.evaluate(script, {"reason": None, "waiting": {"notice": notice}})
    assert "No worker takes jobs for a GPU." in told


def test_name_labels_and_notes_are_changed_where_they_stand(site: Site, opened: Opened) -> None:
    job = site.finished(BRIEF, name="before", metadata={"team": "risk", "year": 2026, "draft": True})
    page = opened(f"#/jobs/{job}")
    page.get_by_role("button", name="Edit name, labels and notes").click()
    form = page.get_by_role("form", name="Name, labels and notes")
    form.get_by_label("Name").fill("after")
    form.get_by_label("Value of label 2").fill("2027")
    form.get_by_role("button", name="Remove label draft").click()
    form.get_by_role("button", name="Add a label").click()
    page.keyboard.type("stage")
    form.get_by_label("Value of label 4").fill("final")
    form.get_by_label("Notes").fill("The best so far.\n<b>Keep it</b>")
    picture(page, "job-edited")
    form.get_by_role("button", name="Save").click()
    heading(page, "after")
    await_title(page, "after · succeeded")
    told = site.job(job)
    assert (told["name"], told["notes"]) == ("after", "The best so far.\n<b>Keep it</b>")
    assert told["metadata"] == {"team": "risk", "year": 2027, "stage": "final"}
    assert page.locator(".notes").inner_text() == told["notes"]
    assert page.evaluate("document.activeElement.ariaLabel") == "Edit name, labels and notes"
    assert page.get_by_role("link", name="stage=final").get_attribute("href") == "#/jobs?metadata.stage=final"

    page.keyboard.press("Enter")
    form.get_by_label("Name").fill("lost")
    page.keyboard.press("Escape")
    heading(page, "after")
    page.get_by_role("button", name="Edit name, labels and notes").click()
    form.get_by_label("Notes").fill("")
    form.get_by_role("button", name="Add a label").click()
    form.get_by_label("Value of label", exact=False).last.fill("no key")
    form.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("A label has a key before its value.").wait_for()
    form.get_by_label("Key of label", exact=False).last.fill("k" * 100)
    form.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("64").wait_for()
    assert site.job(job)["notes"] == told["notes"]


def test_a_datasets_name_and_notes_too(site: Site, opened: Opened, tmp_path: Path) -> None:
    dataset = site.client.upload(write_rows(tmp_path / "named.csv", "a,b,y"))["id"]
    page = opened(f"#/datasets/{dataset}")
    page.get_by_role("button", name="Edit name, labels and notes").click()
    form = page.get_by_role("form", name="Name, labels and notes")
    form.get_by_label("Name").fill("renamed")
    form.get_by_label("Notes").fill("From the second quarter.")
    form.get_by_role("button", name="Save").click()
    heading(page, "renamed")
    await_title(page, "renamed · Dataset")
    told = site.client.get(f"/v1/datasets/{dataset}")
    assert (told["name"], told["user_notes"]) == ("renamed", "From the second quarter.")
    site.client.delete(f"/v1/datasets/{dataset}")


def test_a_live_page_leaves_the_keyboard_where_it_is(site: Site, opened: Opened) -> None:
    job = site.submit(ENDLESS, name="watched")
    page = opened(f"#/jobs/{job}")
    until(page, f"{SLIDER} > 3")
    link = page.locator(".facts a").first
    link.focus()
    until(page, f"{SLIDER} > {page.evaluate(SLIDER) + 30}")
    assert link.evaluate("one => one === document.activeElement")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for()
    page.evaluate("location.hash = '#/datasets'")
    heading(page, "Datasets")
    page.get_by_role("dialog").wait_for(state="detached")
    assert site.job(job)["status"] == "running"


def test_nothing_is_left_of_pages_that_were_left(shelf: Shelf, opened: Opened) -> None:
    page = opened(f"#/jobs/{shelf.plain[0]}")
    for _ in range(2):
        page.locator(".plot canvas").nth(1).wait_for()
        page.get_by_role("button", name="Change between light and dark").click()
        page.get_by_label("Log axis").check()
        page.locator(".plot canvas").nth(1).wait_for()
        page.evaluate("location.hash = '#/datasets'")
        heading(page, "Datasets")
        page.evaluate(f"location.hash = '#/jobs/{shelf.plain[0]}'")
    page.locator(".plot canvas").nth(1).wait_for()
    until(page, "Bokeh.documents.length === 2")
