"""No container engine runs where these tests do, so the compose file and the Dockerfile are held to the code.

The compose file against the specification's schema; every setting in it against `Settings`; every command
against the ones that `tests/test_end_to_end.py` runs by hand on real servers; the Dockerfile line by line.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import broker
from store.settings import Settings
from tests.stacks import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SETTINGS = {f"RIDGELINE_{name.upper()}" for name in Settings.model_fields}


@dataclass
class Stage:
    """A stage of a Dockerfile: what it starts from, and its instructions in order."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == keyword]

    def last(self, keyword: str) -> str | None:
        return next(reversed(self.all(keyword)), None)


def stages(text: str) -> dict[str, Stage]:
    """The stages of a Dockerfile by name."""
    found: dict[str, Stage] = {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            parent, _, name = rest.partition(" AS ")
            current = found[name] = Stage(parent)
        elif keyword:
            current.instructions.append((keyword, rest))
    return found


STAGES = stages((ROOT / "Dockerfile").read_text())
API, WORKER = STAGES["api"], STAGES["worker"]


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def filled_in(text: str) -> str:
    """`${NAME:-default}` as it is where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


# ── docker-compose.yml ──────────────────────────────────────────────────────────────────────────────────────


def test_the_compose_file_is_one_by_the_specification(tmp_path: Path) -> None:
    def check(path: Path) -> int:
        command = [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            str(path),
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert check(ROOT / "docker-compose.yml") == 0
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(json.dumps({"services": {"api": {"comand": "ridgeline api"}}}))
    assert check(broken) != 0


@pytest.mark.parametrize("name", OURS)
def test_every_setting_in_the_compose_file_exists_and_is_taken(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {key: filled_in(value) for key, value in environment(OURS[name]).items()}
    assert set(given) <= SETTINGS
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    taken = Settings()
    assert taken.database == given["RIDGELINE_DATABASE_URL"]
    assert not taken.embedded_broker


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_the_end_to_end_tests_run(name: str) -> None:
    assert tuple(OURS[name]["command"]) in {("ridgeline", *command) for command in COMMANDS}


def test_urls_lead_to_services_of_the_compose_file() -> None:
    for service in OURS.values():
        for key in ("RIDGELINE_DATABASE_URL", "RIDGELINE_BROKER_URL"):
            host = re.search(r"(?:@|//)([a-z]+)(?::\d+)?/", filled_in(environment(service)[key]))
            assert host is not None
            assert host[1] in SERVICES
            assert "healthcheck" in SERVICES[host[1]]


def test_the_database_is_made_as_it_is_asked_for() -> None:
    postgres = environment(SERVICES["postgres"])
    url = environment(SERVICES["api"])["RIDGELINE_DATABASE_URL"]
    user, password, name = (postgres[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    assert url == f"postgresql://{user}:{password}@postgres/{name}"


def test_the_broker_keeps_what_the_embedded_one_keeps() -> None:
    command = SERVICES["redis"]["command"][1:]
    options = {
        name.removeprefix("--"): value for name, value in zip(command[::2], command[1::2], strict=True)
    }
    assert options == broker.APPEND_ONLY


def test_nothing_starts_before_what_it_needs() -> None:
    assert OURS["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("api", "worker"):
        conditions = {key: value["condition"] for key, value in OURS[name]["depends_on"].items()}
        assert conditions == {"migrate": "service_completed_successfully", "redis": "service_healthy"}


def test_api_and_workers_share_the_files() -> None:
    folders = {tuple(OURS[name]["volumes"]) for name in ("api", "worker")}
    assert len(folders) == 1
    [[mounted]] = folders
    volume, _, place = mounted.partition(":")
    assert volume in COMPOSE["volumes"]
    for name in ("api", "worker"):
        assert environment(OURS[name])["RIDGELINE_FILES_URL"].startswith(f"file://{place}/")


def test_every_volume_is_declared_and_used() -> None:
    used = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_without_keys_the_api_is_published_on_this_machine_alone() -> None:
    [published] = SERVICES["api"]["ports"]
    inside = (API.last("EXPOSE"), next(re.finditer(r"RIDGELINE_PORT=(\d+)", str(API.all("ENV"))))[1])
    assert published == f"127.0.0.1:8000:{inside[0]}"
    assert inside[0] == inside[1]
    assert not any("ports" in service for name, service in SERVICES.items() if name != "api")


def test_a_worker_is_given_the_time_to_put_its_jobs_back() -> None:
    grace = int(OURS["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings().drain_seconds


def test_the_images_are_the_dockerfiles_targets() -> None:
    assert {service["build"]["target"] for service in OURS.values()} == set(STAGES)


# ── Dockerfile ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", STAGES)
def test_no_image_runs_as_root(name: str) -> None:
    user = STAGES[name].last("USER")
    assert user == "ridgeline"
    assert any(f"useradd --system --uid 1000 --create-home {user}" in line for line in API.all("RUN"))


def test_the_apis_image_holds_no_torch() -> None:
    assert "torch" not in " ".join(rest for _, rest in API.instructions)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    assert not {"torch"} & needs
    assert [line for line in API.all("RUN") if "pip install" in line] == ["pip install -c constraints.txt ."]


def test_the_workers_image_adds_what_training_needs() -> None:
    assert WORKER.parent == "api"
    assert 'pip install -c constraints.txt ".[train]"' in WORKER.all("RUN")


@pytest.mark.parametrize("name", STAGES)
def test_every_image_starts_with_a_command_that_the_end_to_end_tests_run(name: str) -> None:
    program, *arguments = json.loads(STAGES[name].last("CMD") or "[]")
    assert program == "ridgeline"
    assert tuple(arguments) in COMMANDS


def test_every_setting_in_the_dockerfile_exists() -> None:
    named = {name for _, rest in API.instructions for name in re.findall(r"\bRIDGELINE_\w+", rest)}
    assert named
    assert named <= SETTINGS


def test_the_apis_health_is_asked_on_a_path_that_exists() -> None:
    from api.app import create_app

    check = API.last("HEALTHCHECK") or ""
    path = re.search(r"http://127\.0\.0\.1:8000(/\w+)", check)
    assert path is not None
    assert path[1] in create_app(Settings()).openapi()["paths"]
    code = json.loads(check.partition("CMD ")[2])
    compile(code[2], "healthcheck", "exec")


def test_what_is_copied_exists_and_is_let_through() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    let_through = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    copied = [source.rstrip("/") for line in API.all("COPY") for source in shlex.split(line)[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if not any(fnmatch(name, pattern) for pattern in let_through)] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) <= set(copied)


def test_the_pins_name_torch_by_its_public_version_and_nothing_local() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", pin)] == []
    assert "torch==2.13.0" in pins
    pinned = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"], *extras["train"], *extras["test"], *extras["check"]]
    named = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", line)[0]).lower() for line in needs}
    assert named <= pinned
