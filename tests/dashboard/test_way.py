"""The whole way: from a file to a network that trains, ends, predicts, and is tried again with changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.sites import ENDLESS, QUICK, SLIDER, heading, job_of, picture, row_of, until
from tests.sources import ROOT

if TYPE_CHECKING:
    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Shelf, Site

pytestmark = pytest.mark.browser


def test_from_a_file_to_a_spec(opened: Opened) -> None:
    page = opened("#/datasets")
    page.set_input_files("#file", ROOT / "examples" / "wine.csv")
    page.get_by_label("Target").select_option("target")
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


def test_from_a_spec_to_a_network(opened: Opened) -> None:
    page = opened("#/new?dataset=wine")
    page.get_by_text("parameters ·").wait_for()
    page.get_by_label("My own cocktail").check()
    page.get_by_label("Early stopping", exact=True).uncheck()
    page.get_by_label("Max epochs").fill("100000")
    page.get_by_text("parameters ·").wait_for()
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


def test_rows_arrive_and_change_by_themselves(site: Site, opened: Opened) -> None:
    page = opened("#/jobs")
    heading(page, "Jobs")
    job = site.submit(ENDLESS, name="arrives")
    row = row_of(page, job)
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
    until(page, "/^steered · running \\d+ % · Ridgeline$/.test(document.title)")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert site.job(job)["status"] in ("queued", "running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.locator(".head .pill", has_text="cancelled").wait_for()
    until(page, "document.title === 'steered · cancelled · Ridgeline'")


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


def test_a_network_at_work(site: Site, shelf: Shelf, opened: Opened) -> None:
    page = opened(f"#/jobs/{shelf.plain[0]}")
    page.get_by_role("button", name="Predict").click()
    answered = page.get_by_role("table", name="Predictions")
    answered.get_by_role("columnheader", name="malignant").wait_for()
    assert answered.locator("tbody tr").count() == 3
    with page.expect_download() as model:
        page.get_by_role("button", name="ONNX").click()
    assert model.value.path().read_bytes() == site.client.read(f"/v1/jobs/{shelf.plain[0]}/model")


def test_the_same_again_with_changes(site: Site, opened: Opened) -> None:
    job = site.finished(QUICK, name="first", regularization={"dropout": 0.2})
    page = opened(f"#/new?from={job}")
    page.get_by_text("parameters ·").wait_for()
    page.get_by_label("L1", exact=True).check()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("heading", name="Result").wait_for()
    spec = site.job(job_of(page))["spec"]
    assert (spec["name"], spec["training"]["max_epochs"]) == ("first", 12)
    assert spec["regularization"]["l1"]["strength"] == 1e-4
    assert spec["regularization"]["dropout"]["hidden"] == [0.2, 0.2]


def test_what_to_try_next_is_one_press_away(site: Site, opened: Opened) -> None:
    overfitting = {"network": {"hidden": [128, 128]}, "regularization": {}, "training": {"max_epochs": 40}}
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
    tried = site.job(job_of(page))["spec"]["regularization"]
    assert {name for name in wanted if tried[name]} == set(wanted)
    page.get_by_role("link", name="Compare with the one before").click()
    heading(page, "2 jobs compared")
    page.get_by_role("columnheader", name=technique).wait_for()
