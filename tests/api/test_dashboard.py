"""The dashboard's files over HTTP: what is served, under which policy, and what they may not hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.sources import ROOT

FOLDER = ROOT / "api" / "dashboard"
SCRIPTS = sorted(FOLDER.glob("*.js"))
EVERY_SCRIPT = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)


def test_the_page_is_served_under_a_policy_that_lets_scripts_come_from_here_alone(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"


def test_everything_that_the_page_names_is_served(client: TestClient) -> None:
    page = client.get("/").text
    named = set(re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', page))
    assert {"/dashboard/app.js", "/dashboard/page.css", "/dashboard/ridge.svg"} <= named
    for address in named:
        answer = client.get(address)
        assert (answer.status_code, bool(answer.content)) == (200, True), address


@pytest.mark.parametrize("name", ["bokeh.min.js", "bokeh-api.min.js"])
def test_the_charting_library_comes_from_its_package(client: TestClient, name: str) -> None:
    answer = client.get(f"/dashboard/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert b"Bokeh" in answer.content


@pytest.mark.parametrize("name", ["index.html", "nothing.js", "..%2Fapp.py", "%2e%2e", "bokeh-gl.min.js"])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/dashboard/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_browser_that_has_a_file_is_not_sent_it_again(client: TestClient) -> None:
    first = client.get("/dashboard/app.js")
    again = client.get("/dashboard/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@EVERY_SCRIPT
def test_what_people_typed_cannot_become_markup(path: Path) -> None:
    """Nor is anything used that browsers only have where the page came by HTTPS."""
    assert (
        re.findall(
            r"crypto\.randomUUID|innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(",
            path.read_text(),
        )
        == []
    )


@EVERY_SCRIPT
def test_every_script_says_what_it_is_and_stays_readable(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("//")
    assert len(lines) <= 320
    assert max(map(len, lines)) <= 120


@EVERY_SCRIPT
def test_every_script_that_is_imported_exists(path: Path) -> None:
    imported = re.findall(r'(?:from|import)\s*\(?"\./([^"]+)"', path.read_text())
    assert {name for name in imported if not (FOLDER / name).exists()} == set()


def test_every_script_is_used() -> None:
    page = (FOLDER / "index.html").read_text()
    texts = page + "".join(path.read_text() for path in SCRIPTS)
    assert [path.name for path in SCRIPTS if texts.count(path.name) == 0] == []


def test_what_a_script_takes_from_another_is_there_and_what_it_gives_is_taken() -> None:
    given = {
        path.name: set(
            re.findall(r"^export (?:async )?(?:const|function\*?|class) (\w+)", path.read_text(), re.M)
        )
        for path in SCRIPTS
    }
    taken: dict[str, set[str]] = {name: set() for name in given}
    for path in SCRIPTS:
        for names, source in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', path.read_text()):
            wanted = {name.strip() for name in names.split(",")}
            assert wanted <= given[source], (path.name, source)
            taken[source] |= wanted
            body = re.sub(r"^import .*$", "", path.read_text(), flags=re.M)
            assert {name for name in wanted if not re.search(rf"\b{name}\b", body)} == set(), path.name
    taken = {name: names | {"open"} for name, names in taken.items()}  # A page's door, which `app.js` opens.
    assert {name: given[name] - taken[name] for name in given if given[name] - taken[name]} == {
        "door.js": {"signIn"}
    }


def test_every_file_is_documented() -> None:
    told = (ROOT / "docs" / "dashboard.md").read_text()
    assert [
        path.name for path in FOLDER.iterdir() if f"`{path.name}`" not in told and path.suffix != ".svg"
    ] == []
