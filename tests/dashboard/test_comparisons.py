"""Jobs side by side: seeds together, labels that tell them apart, what came of them."""

from __future__ import annotations

import re
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.sites import ask, await_title, heading, picture, until

if TYPE_CHECKING:
    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Shelf, Site

pytestmark = pytest.mark.browser


def test_seeds_share_a_line_and_a_row_and_labels_name_the_difference(
    site: Site, shelf: Shelf, opened: Opened
) -> None:
    page = opened(f"#/compare?jobs={','.join(shelf.jobs)}")
    heading(page, "4 jobs compared")
    await_title(page, "Compare 4 jobs")
    legend = page.locator(".legend")
    legend.get_by_text("l2 0.001 · dropout 0.5").wait_for()
    assert legend.locator(".entry").all_inner_texts() == [
        "without l2, dropout\nmean of 2",
        "l2 0.001 · dropout 0.5\nmean of 2",
    ]
    table = page.get_by_role("region", name="What came of it").get_by_role("table")
    heads = table.locator("thead th").all_inner_texts()
    results = [site.job(job)["result"] for job in shelf.cocktail]
    row = table.locator("tbody tr").nth(1).locator("td").all_inner_texts()
    for split in ("validation", "test"):
        values = [result[split]["roc_auc"] for result in results]
        told = [float(word) for word in re.findall(r"[\d.]+", row[heads.index(f"{split} roc auc") - 1])]
        assert told == pytest.approx([fmean(values), stdev(values)], rel=0.06)
    losses = [
        fmean(site.job(job)["result"]["validation"]["loss"] for job in some)
        for some in (shelf.plain, shelf.cocktail)
    ]
    best = table.locator("tbody tr").nth(losses.index(min(losses)))
    column = heads.index("validation loss") - 1
    assert best.locator("td").nth(column).locator(".best-value").count() == 1
    assert table.locator(".best-value").count() >= 3
    tests = [at - 1 for at, head in enumerate(heads) if head.startswith("test ")]
    assert len(tests) == 3
    assert all(best.locator("td").nth(at).locator(".best-value").count() == 0 for at in tests)
    page.locator(".plot canvas").first.wait_for()
    picture(page, "compare-seeds", whole=True)

    page.get_by_label("Seeds as mean and spread").uncheck()
    until(page, "document.querySelectorAll('.legend .entry').length === 4")
    assert legend.locator(".entry").all_inner_texts() == [
        "seed 0",
        "seed 1",
        "l2 0.001 · dropout 0.5 · seed 0",
        "l2 0.001 · dropout 0.5 · seed 1",
    ]
    assert table.locator("tbody tr").count() == 4


def job(place: int, name: str | None = None, **regularization: Any) -> dict[str, Any]:
    spec = {"dataset": "wine", "training": {"seed": 0}, "regularization": {"l2": None, "dropout": None}}
    spec["regularization"] = {"l2": None, "dropout": None, **regularization}
    return {"id": f"job_{place:032}", "name": name, "spec": spec, "dataset": {"id": "ds_1", "name": "wine"}}


DROPOUT = {"dropout": {"hidden": [0.5, 0.5], "input": 0}}
WEAK, STRONG = ({"l2": {"strength": strength, "scope": "all"}} for strength in (0.0001, 0.01))


LABELLED: list[tuple[list[Any], list[str]]] = [
    ([[job(1, "a")], [job(2, "b")]], ["a", "b"]),
    ([[job(1, "same", **WEAK)], [job(2, "same", **STRONG)]], ["l2 0.0001", "l2 0.01"]),
    ([[job(1, "a", **WEAK)], [job(2, "b", **STRONG)]], ["a · l2 0.0001", "b · l2 0.01"]),
    (
        [[job(1, "same")], [job(2, "same", **WEAK, **DROPOUT)]],
        ["without l2, dropout", "l2 0.0001 · dropout 0.5"],
    ),
    ([[job(1, "same")], [job(2, "same")]], ["same · …000001", "same · …000002"]),
    ([[job(1)], [job(2)]], ["job …00000001", "job …00000002"]),
    (
        [[job(1, "run-1"), job(2, "run-2")], [job(3, "sweep 1", **WEAK)]],
        ["run… · without l2", "sweep 1 · l2 0.0001"],
    ),
    ([[job(1, None, **WEAK)], [job(2, "b", **STRONG)]], ["l2 0.0001", "b · l2 0.01"]),
]


def test_no_two_labels_are_the_same(opened: Opened) -> None:
    page = opened("#/datasets")
    for groups, labels in LABELLED:
        assert ask(page, "labels.js", "it.labelsOf(given).map(({ text }) => text)", groups) == labels


def test_what_is_beyond_one_comparison_is_named(site: Site, shelf: Shelf, opened: Opened) -> None:
    """Most are not there, so that the test need not train so many."""
    unknown = [f"job_01a2232631eb762cba18a69158bb{place:04}" for place in range(18)]
    chosen = [*shelf.plain, *unknown, *shelf.cocktail]
    page = opened(f"#/compare?jobs={','.join(chosen)}")
    heading(page, "2 jobs compared")
    told = page.get_by_text("22 jobs were chosen, and one comparison holds 20")
    told.get_by_role("link", name="seed 0").wait_for()
    assert told.get_by_role("link", name="seed 1").get_attribute("href") == f"#/jobs/{shelf.cocktail[1]}"
    page.get_by_text("18 of the jobs are not here any more.").wait_for()
    told.get_by_role("link", name="Compare those 2").click()
    until(page, f"location.hash === '#/compare?jobs={','.join(shelf.cocktail)}'")
    heading(page, "2 jobs compared")
    page.get_by_text("were chosen").wait_for(state="detached")


def test_jobs_of_different_data_have_a_table_each(shelf: Shelf, opened: Opened) -> None:
    page = opened(f"#/compare?jobs={shelf.plain[0]},{shelf.diverged}")
    cancer = page.get_by_role("region", name="What came of it on breast_cancer")
    diabetes = page.get_by_role("region", name="What came of it on diabetes")
    cancer.get_by_role("columnheader", name="validation roc auc").wait_for()
    assert diabetes.get_by_role("columnheader", name="validation rmse").count() == 1
    assert diabetes.get_by_role("columnheader", name="validation roc auc").count() == 0
    assert page.locator(".best-value").count() == 0
