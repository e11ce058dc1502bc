"""The dashboard for Grafana against what `/metrics` serves: it asks for nothing that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api.deps import Server
from store import counters
from tests.api.acting import Worker, submit
from tests.sources import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs/grafana.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

_METRIC = re.compile(r"\b(ridgeline_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\bby \(([\w, ]+)\)")
_KNOWN = {"sum", "max", "min", "rate", "increase", "histogram_quantile", "or", "vector", "by", "h", "le"}


@pytest.fixture(scope="module")
def served(client: TestClient, worker: Worker, server: Server) -> dict[str, list[dict[str, str]]]:
    """Every sample that a service has which has seen everything once: name → the labels of each."""
    worker.done(client)
    submit(client)
    client.get("/nothing/here")
    with server.database.writing() as tx:
        counters.add(tx, "reconciler.requeued")
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def asked(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each metric of an expression with the labels that it is narrowed by."""
    for name, matchers in _METRIC.findall(expression):
        yield name, dict(_MATCHER.findall(matchers))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_a_panel_asks_for_is_served(served: dict[str, list[dict[str, str]]], expression: str) -> None:
    metrics = list(asked(expression))
    assert metrics
    for name, labels in metrics:
        assert name in served, f"{name} is not served"
        known = {label for sample in served[name] for label in sample}
        groups = {each for found in _GROUPING.findall(expression) for each in re.split(r",\s*", found)}
        assert labels.keys() | groups <= known, name
        for label in labels.keys() & {"status", "state"}:
            assert labels[label] in {sample[label] for sample in served[name]}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_put_together_from_what_prometheus_knows(expression: str) -> None:
    assert expression.count("(") == expression.count(")")
    bare = _METRIC.sub("", _GROUPING.sub("", re.sub(r'\{[^}]*"[^"]*"[^}]*\}', "", expression)))
    words = set(re.findall(r"[a-z_]+", bare.replace("$__rate_interval", "")))
    assert words <= _KNOWN, words - _KNOWN
    counters_in_it = {name for name, _ in asked(expression) if name.endswith(("_total", "_count", "_bucket"))}
    assert not counters_in_it or "rate(" in expression or "increase(" in expression


def test_every_metric_has_its_panel(served: dict[str, list[dict[str, str]]]) -> None:
    shown = {name for expression in EXPRESSIONS for name, _ in asked(expression)}
    ours = {name for name in served if name.startswith("ridgeline_")}
    aside = {name for name in ours if name.endswith(("_created", "_sum"))}
    assert ours - aside == shown


def test_the_levels_of_the_service_are_not_added_up_over_processes() -> None:
    """Every API process tells them, and tells the same."""
    of_a_process = ("ridgeline_request_seconds", "ridgeline_problems", "ridgeline_event_streams")
    for expression in EXPRESSIONS:
        for name, _ in asked(expression):
            outer = expression.partition(" ")[0].partition("(")[0]
            allowed = {"sum", "histogram_quantile"} if name.startswith(of_a_process) else {"max", "min"}
            assert outer in allowed or expression.startswith("sum(max by"), expression


def test_it_has_what_grafana_s_import_needs() -> None:
    assert DASHBOARD["id"] is None, "a number would overwrite somebody's dashboard"
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["title"] == "Ridgeline"
    assert DASHBOARD["schemaVersion"] >= 36
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"], variable["name"]) == (
        "datasource",
        "prometheus",
        "datasource",
    )
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in PANELS:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in ("s", "short", "none", "ops", "reqps")


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert columns[-1] < 24
        assert not cells & taken
        taken |= cells
