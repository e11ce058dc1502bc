"""The dashboard in a real browser: how soon it is there, and whether it stays smooth and small.

The browser draws on the processor, beside two workers that train and a server: the frames it holds here it
holds anywhere.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.jobs import run
from benchmarks.measuring import Row, milliseconds
from benchmarks.reading import multiply
from cli.client import Client
from tests.browsers import chromium
from tests.stacks import embedded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STORED = 10_000
OPENINGS = 7
CURVES = 20
HELD_SECONDS, LOOK_SECONDS = 600, 5
SHORT = {"dataset": "iris", "training": {"max_epochs": 60}}
ENDLESS = {"dataset": "digits", "regularization": {"dropout": 0.3}, "training": {"max_epochs": 100_000}}
FRAMES = """async (seconds) => {
    const spent = [];
    await new Promise((done) => {
        let before = performance.now();
        const end = before + 1000 * seconds;
        const frame = (now) => {
            spent.push(now - before);
            before = now;
            now < end ? requestAnimationFrame(frame) : done();
        };
        requestAnimationFrame(frame);
    });
    return spent;
}"""


def measure() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), concurrency=2) as stack,
        chromium() as browser,
    ):
        run(stack.client, SHORT)
        job = stack.client.get("/v1/jobs?limit=1")["data"][0]["id"]
        multiply(stack.settings.database, job, STORED)
        yield _opening(browser, f"{stack.address}/", "table.jobs tbody a", f"the list of {STORED:,} jobs")
        yield _opening(browser, f"{stack.address}/#/jobs/{job}", ".plot canvas", "a job with its curve")
        yield from _held(browser, stack.address, _twenty(stack.client))


def _opening(browser: Browser, address: str, sign: str, what: str) -> Row:
    """From nothing to what people came for, each time in a new profile, whose cache is empty."""
    spent = []
    for _ in range(OPENINGS):
        context = browser.new_context()
        page = context.new_page()
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.locator(sign).first.wait_for()
        spent.append(time.perf_counter() - began)
        context.close()
    median, worst = statistics.median(spent), max(spent)
    return Row(
        f"{what}, cold cache", milliseconds(median), f"at most {milliseconds(worst)}", "—", "< 1 s", worst < 1
    )


def _twenty(client: Client) -> list[str]:
    """Jobs that all train at once: they wait together behind two that keep both workers, and share stacks."""
    blocking = [client.post("/v1/jobs", ENDLESS)["id"] for _ in range(2)]
    _until_running(client, blocking)
    ids = [
        client.post(
            "/v1/jobs",
            {**ENDLESS, "name": f"curve {seed}", "training": {"max_epochs": 100_000, "seed": seed}},
        )["id"]
        for seed in range(CURVES)
    ]
    for job in blocking:
        client.post(f"/v1/jobs/{job}/cancel")
    _until_running(client, ids)
    return ids


def _until_running(client: Client, ids: Sequence[str]) -> None:
    while any(client.get(f"/v1/jobs/{job}")["status"] != "running" for job in ids):
        time.sleep(0.1)


def _held(browser: Browser, address: str, ids: Sequence[str]) -> Iterator[Row]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/#/compare?jobs={','.join(ids)}")
    page.locator(".plot canvas").first.wait_for()
    page.wait_for_timeout(3_000)
    looks = list(_looks(page))
    frames = sorted(one for spent, _ in looks for one in spent)
    rate, late = 1000 / statistics.fmean(frames), frames[int(0.99 * len(frames))]
    yield Row(
        f"{CURVES} live curves for {HELD_SECONDS // 60} min, frames/s",
        f"{rate:.1f}",
        f"p99 of a frame {late:.1f} ms",
        "—",
        "60",
        rate > 59,
    )
    tenth = max(len(looks) // 10, 1)
    first, last = (
        statistics.median(bytes_ for _, bytes_ in part) / 1e6 for part in (looks[:tenth], looks[-tenth:])
    )
    yield Row(
        "its memory after that, against the first minute",
        f"{last:.1f} MB",
        f"{first:.1f} MB",
        f"{last / first:.2f}×",
        "does not grow",
        last < 1.25 * first,
    )


def _looks(page: Page) -> Iterator[tuple[list[float], float]]:
    """The frames of some seconds and what is alive behind them, for as long as it is to be held."""
    protocol = page.context.new_cdp_session(page)
    end = time.monotonic() + HELD_SECONDS
    while time.monotonic() < end:
        spent: list[float] = page.evaluate(FRAMES, LOOK_SECONDS)
        protocol.send("HeapProfiler.collectGarbage")
        usage: dict[str, Any] = protocol.send("Runtime.getHeapUsage")
        yield spent, float(usage["usedSize"])
