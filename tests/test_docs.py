"""The documents against the code: what exists is documented, what is documented exists, and commands run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from api import errors
from api.app import create_app
from api.yaml_documents import parse as parse_yaml
from cli.main import app as command_line
from models.catalog import choices, techniques
from models.datasets import bundled
from models.defaults import complete
from models.history import Epoch, History
from models.metrics import METRICS
from models.regularizers import EarlyStopping, Monitor
from models.spec import JobSpec, NetworkSpec, OptimizerSpec, PreprocessingSpec
from store.settings import Settings
from tests.markdown import Page, heads, page, pages, quoted, rows
from tests.sources import ROOMS, ROOT, modules

EVERY_PAGE = pytest.mark.parametrize("one", pages(), ids=lambda one: one.place)
REGULARIZERS = page("docs/regularizers.md")


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────


def settings_table() -> str:
    """What stands in docs/settings.md between the introduction and the rest."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `RIDGELINE_{name.upper()}` | {_default(field.default)} | {meaning} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value in ("", None, PydanticUndefined):  # another setting, or this machine, decides
        return "–"
    for size, unit in ((2**30, "GiB"), (2**20, "MiB")):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"`{value}` ({value // size} {unit})"
    return f"`./{value}`" if isinstance(value, Path) else f"`{value}`"


def test_every_setting_is_documented_as_it_is() -> None:
    assert settings_table() in page("docs/settings.md").text, f"put this table there:\n{settings_table()}"


def test_no_page_names_a_setting_that_there_is_not() -> None:
    known = {f"RIDGELINE_{name.upper()}" for name in Settings.model_fields}
    tests = {f"RIDGELINE_TEST_{name}" for name in ("DATABASE_URL", "BROKER_URL", "FUZZ_EXAMPLES")}
    others = {"RIDGELINE_SERVER", "RIDGELINE_KEY", *tests}
    assert others <= quoted(page("docs/settings.md").text)
    named = {name for one in pages() for name in re.findall(r"RIDGELINE_[A-Z_]*[A-Z]", one.text)}
    assert named - known - others == set()


# ── regularizers ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", techniques())
def test_every_technique_has_a_section_with_all_of_its_settings(name: str) -> None:
    section = REGULARIZERS.section(f"`{name}`")
    technique = techniques()[name]
    settings = {field for model in (technique, *_parts(technique)) for field in model.model_fields}
    assert settings - {row[0].strip("`") for row in rows(section)} == set()
    for part in ("**Formula.**", "**When.**", "**Usual range.**", "**Mind", "Sources: "):
        assert part in section


def _parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Models inside of a model's fields, such as a monitor."""
    inner = [kind for field in model.model_fields.values() for kind in get_args(field.annotation)]
    return [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]


SOURCE = re.compile(r"([A-ZÖ][\w’'-]+)(?:, [A-Z]\w+)?(?:\s&\s[A-Z][\w’'-]+|\set\sal\.)?\s(\d{4})\b")


def test_the_references_are_the_sources_that_are_cited() -> None:
    listed = re.findall(
        r"^- (?:van )?([\w’'-]+), .*?\((\d{4})\)\. \*.+\*", REGULARIZERS.section("References"), re.M
    )
    cited = set(SOURCE.findall(REGULARIZERS.text.partition("## References")[0]))
    named_in_code = set(SOURCE.findall("; ".join(technique.source for technique in techniques().values())))
    assert named_in_code
    assert named_in_code - cited == set()
    assert cited == set(listed)


def test_every_metric_is_documented_as_it_is_declared() -> None:
    documented = {
        row[0].strip("`"): (row[1], set(row[2].split(", "))) for row in rows(REGULARIZERS.section("Metrics"))
    }
    assert documented == {name: (metric.better, set(metric.tasks)) for name, metric in METRICS.items()}


CHOICES = {
    "Optimizers": (OptimizerSpec, "kind"),
    "Schedules": (OptimizerSpec, "schedule"),
}


@pytest.mark.parametrize("section", CHOICES)
def test_every_choice_is_documented(section: str) -> None:
    model, field = CHOICES[section]
    documented = [row[0].strip("`") for row in rows(REGULARIZERS.section(section))]
    assert documented == list(choices(model, field)) or set(documented) == set(choices(model, field))


def test_every_setting_around_the_techniques_is_documented() -> None:
    told = quoted(REGULARIZERS.text)
    preprocessing = {*PreprocessingSpec.model_fields, *choices(PreprocessingSpec, "numeric")}
    optimizer = set(OptimizerSpec.model_fields) - {"kind", "schedule"}
    assert preprocessing | optimizer | {"optimizer.kind", "optimizer.schedule"} <= told
    assert set(choices(NetworkSpec, "activation")) <= told


def test_the_example_of_early_stopping_is_what_the_code_does() -> None:
    section = REGULARIZERS.section("`early_stopping`")
    (script,) = re.findall(r"^val_loss ([\d. ]+)$", section, re.M)
    losses = [float(number) for number in script.split()]
    table = [row for row in rows(section) if row[0] in ("stops after epoch", "restores epoch")]
    patiences = next(row[1:] for row in heads(section) if row[0] == "`patience`")
    wanted = [[int(cell) for cell in row[1:]] for row in table]
    rising = losses + [losses[-1] + 0.01 * step for step in range(1, 20)]
    found = [_stopped(rising, int(patience)) for patience in patiences]
    assert [list(column) for column in zip(*found, strict=True)] == wanted


def _stopped(losses: list[float], patience: int) -> tuple[int, int]:
    """The epoch at which a curve is stopped, and its best epoch till then."""
    stopping, history = EarlyStopping(monitors=[Monitor(patience=patience)]), History()
    for number, loss in enumerate(losses, start=1):
        history.append(Epoch(number, {"val_loss": loss}))
        if stopping.should_stop(history):
            break
    return len(history), losses.index(min(losses[: len(history)])) + 1


# ── the API ─────────────────────────────────────────────────────────────────────────────────────────────────

API = page("docs/api.md")


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("api"))).openapi()


UNLISTED = {("GET", "/"), ("GET", "/v1/openapi.json"), ("GET", "/docs"), ("GET", "/docs/problems")}
"""Answered, and no part of the document."""


def routes(openapi: dict[str, Any]) -> set[tuple[str, str]]:
    listed = {(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods}
    return listed | UNLISTED


def test_every_route_is_documented_and_no_other(openapi: dict[str, Any]) -> None:
    calls = [row[0].strip("`").split() for row in rows(API.section("Endpoints"))]
    assert {(method, path) for method, path in calls} == routes(openapi)


def test_every_parameter_of_a_route_is_documented(openapi: dict[str, Any]) -> None:
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    parameters = {one["name"] for operation in operations for one in operation.get("parameters", [])}
    told = " ".join(quoted(API.text)).lower()
    assert {name for name in parameters if not re.search(rf"(?<!\w){re.escape(name.lower())}", told)} == set()


def test_every_kind_of_problem_is_documented() -> None:
    documented = {(int(row[0]), code) for row in rows(API.section("Problems")) for code in quoted(row[1])}
    assert documented == {(kind.status, kind.code) for kind in errors.kinds()}


@EVERY_PAGE
def test_every_address_on_a_page_exists(one: Page, openapi: dict[str, Any]) -> None:
    templates = [re.sub(r"\{\w+\}", "[^/]+", path) for _, path in routes(openapi)]
    named = {address.rstrip(".,") for address in re.findall(r"(?<![\w])/v1(?:/[\w.{}$-]+)+", one.text)}
    named |= {f"/v1/{rest}" for rest in re.findall(r"\$URL/([\w./$-]+)", one.text)}
    unknown = [name for name in named if not any(re.fullmatch(template, name) for template in templates)]
    assert unknown == []


def specs_on(one: Page) -> list[dict[str, Any]]:
    """Job specs in JSON blocks, and in what curl is to send."""
    sent = [body for block in one.code("sh") for body in re.findall(r"-d '(\{[^']*\})'", block)]
    documents = [json.loads(text) for text in [*one.code("json"), *sent]]
    return [document for document in documents if "dataset" in document and "status" not in document]


@EVERY_PAGE
def test_every_spec_on_a_page_is_one(one: Page) -> None:
    for spec in specs_on(one):
        complete(JobSpec.model_validate(spec), bundled(spec["dataset"]).description)


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────


def commands() -> list[list[str]]:
    """Every command line in a shell block of a page, continued lines joined, comments cut off."""
    blocks = [block for one in pages() for block in one.code("sh")]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    plain = [line for line in lines if line.split()[0] in STARTS or line.split()[0].endswith("ridgeline")]
    return [shlex.split(line, comments=True) for line in plain]


STARTS = ("./run", "python")


def test_the_pages_show_commands() -> None:
    assert {words[0] for words in commands()} >= {"./run"}


def test_every_run_target_on_a_page_exists() -> None:
    said = subprocess.run(
        [sys.executable, "run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"^  \./run (\w+)", said, re.M))
    prose = {name for one in pages() for name in re.findall(r"\./run (\w+)", one.text)}
    assert targets
    assert prose - targets == set()


def test_every_command_and_option_of_the_command_line_exists() -> None:
    known = typer.main.get_command(command_line)
    for words in commands():
        if words[0].endswith("ridgeline"):
            _check_command(known, [word for word in words[1:] if word not in ("--help", "-h")])


def _check_command(command: Any, words: list[str]) -> None:
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"} <= options


def test_every_program_on_a_page_exists() -> None:
    named = {name for one in pages() for name in re.findall(r"python -m ([\w.]+)", one.text)}
    own = {name for name in named if name.partition(".")[0] in (*ROOMS, "benchmarks")}
    runnable = {f"{name}.__main__" for name in own} | own
    programs = {one.name for one in modules() if "__main__" in one.text}
    assert "models" in own
    assert {name for name in own if not {name, f"{name}.__main__"} & programs & runnable} == set()


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────


@EVERY_PAGE
def test_every_link_within_the_repository_leads_somewhere(one: Page) -> None:
    for link in one.links():
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = (one.path.parent / place).resolve() if place else one.path
        assert target.exists(), link
        assert not anchor or anchor in Page(target).anchors(), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        links = [link.partition("#")[0] for link in Page(path).links()]
        targets = [(path.parent / link).resolve() for link in links if link and "://" not in link]
        waiting += [target / "README.md" if target.is_dir() else target for target in targets]
        waiting = [target for target in waiting if target.suffix == ".md"]
    lost = [one.place for one in pages() if one.path not in reached and one.path.parent != ROOT]
    assert lost == []


IGNORED = {"__pycache__", "ridgeline-data", "dist", "ci-output", "build"}


def test_the_readmes_tree_lists_every_folder_at_the_top() -> None:
    (tree,) = [block for block in page("README.md").code("text") if "models/" in block]
    listed = set(re.findall(r"^(\w+)/ ", tree, re.M))
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    kept = {name for name in folders - IGNORED if not name.endswith(".egg-info")}
    assert listed == kept


@EVERY_PAGE
def test_no_page_has_a_gap_to_be_filled(one: Page) -> None:
    assert re.findall(r"^[A-Z]{4,}$", one.text, re.M) == []


def test_the_readme_keeps_its_promise_of_three_calls_and_six_lines() -> None:
    (block,) = [block for block in page("README.md").code("sh") if "format=txt" in block]
    assert len(re.findall(r"\bcurl\b", block)) <= 3
    assert len(block.strip().splitlines()) <= 6


def test_the_architecture_lists_every_module() -> None:
    text = page("docs/architecture.md")
    listed = {f"{room}/{name}" for room in ROOMS for name in _listed(text.section(f"`{room}`"))}
    there = {one.place for one in modules() if one.text.strip() and "/versions/" not in one.place}
    assert listed == there


def _listed(section: str) -> set[str]:
    """`jobs/arrows.py` and the like, one at the start of each line of the section's list."""
    return set(re.findall(r"^([\w/]+\.py) ", section, re.M))


# ── examples ────────────────────────────────────────────────────────────────────────────────────────────────

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".json", ".yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_spec_that_can_be_carried_out(path: Path) -> None:
    spec = json.loads(path.read_text()) if path.suffix == ".json" else parse_yaml(path.read_bytes())
    completed = complete(JobSpec.model_validate(spec), bundled(spec["dataset"]).description)
    assert completed.notices == []
    assert spec["name"] == path.stem


def test_every_example_has_its_line() -> None:
    folder = ROOT / "examples"
    there = {path.name for path in (*folder.iterdir(), *(folder / "clients").iterdir())} - {"README.md"}
    assert quoted(page("examples/README.md").text) >= there


# ── decisions and changes ───────────────────────────────────────────────────────────────────────────────────

DECISIONS = sorted(path for path in (ROOT / "docs/decisions").glob("*.md") if path.name != "README.md")
HALF_A_PAGE = 400
"""Words."""


def test_decisions_are_numbered_without_gaps() -> None:
    assert len(DECISIONS) >= 8
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert all(re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", path.name) for path in DECISIONS)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_context_decision_consequences_and_a_loser(path: Path) -> None:
    record = Page(path)
    title, *parts = record.headings()
    assert re.match(rf"{int(path.name[:4])}\. [A-Z`]", title)
    assert parts == ["Context", "Decision", "Consequences", "The loser"]
    assert len(record.text.split()) <= HALF_A_PAGE
    assert path.name in page("docs/decisions/README.md").links()


VERSION = re.compile(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.M)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_keeps_its_form() -> None:
    changelog = page("CHANGELOG.md")
    versions = VERSION.findall(changelog.text)
    assert changelog.headings()[0] == "Changelog"
    assert versions[0] == ("Unreleased", "")
    assert all(date for _, date in versions[1:])
    assert [date for _, date in versions[1:]] == sorted((date for _, date in versions[1:]), reverse=True)
    kinds = set(re.findall(r"^### (.+)$", changelog.text, re.M))
    assert kinds
    assert kinds <= KINDS


def test_this_version_is_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in [name for name, _ in VERSION.findall(page("CHANGELOG.md").text)]


# ── nobody's machine ────────────────────────────────────────────────────────────────────────────────────────

TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".json",
    ".yaml",
    ".yml",
    ".html",
    ".js",
    ".mjs",
    ".css",
    ".sh",
    ".mako",
    "",
}
HIDDEN = {
    ".git",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
}
# Written in halves, or this file would find itself.
OWN_PLACES = re.compile(r"/ro" r"ot/|/Us" r"ers/\w|/ho" r"me/(?!ridgeline)\w|C:\\Us" r"ers")


def texts() -> Iterator[Path]:
    """Every text that is ours; an environment, with its tens of thousands of files, is not even entered."""
    for folder, inside, files in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in HIDDEN | IGNORED]
        named = (Path(folder, name) for name in files if name not in HIDDEN and Path(name).suffix in TEXT)
        yield from (path for path in named if path.is_file())


def test_no_text_names_a_place_on_somebodys_machine() -> None:
    read = {path: path.read_text(encoding="utf-8", errors="replace") for path in texts()}
    assert ROOT / "README.md" in read
    found = {path.relative_to(ROOT): OWN_PLACES.search(text) for path, text in read.items()}
    assert {place: named[0] for place, named in found.items() if named} == {}
