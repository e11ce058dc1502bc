"""`./run` finds a Python, makes an environment once, and gets out of the way.

The projects it installs here are empty ones that build themselves, so that no test waits for a download.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import browsers

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "nothing"
version = "1"

[project.optional-dependencies]
train = []
test = []
check = []
"""

BACKEND = '''
"""Builds an editable wheel of a project whose one package is `cli`, with what the standard library has."""
import pathlib
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: nothing\\nVersion: 1\\n"
for extra in ("train", "test", "check"):
    METADATA += f"Provides-Extra: {extra}\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "nothing-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("nothing.pth", str(pathlib.Path(__file__).parent))
        wheel.writestr("nothing-1.dist-info/METADATA", METADATA)
        wheel.writestr("nothing-1.dist-info/WHEEL", WHEEL)
        wheel.writestr("nothing-1.dist-info/RECORD", "")
    return name


build_wheel = build_editable
'''

PROGRAM = "import os, sys; print('ran', sys.argv[1:], 'in', os.getcwd())"
Made = tuple[Path, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A project in a folder with spaces, where half an environment lay, after two first `./run` at once.

    And what each printed and said.
    """
    project = empty_project(tmp_path_factory.mktemp("a place with spaces"))
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    command = [project / "run", "demo", "--keep"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return project, said


def empty_project(folder: Path) -> Path:
    shutil.copy(ROOT / "run", folder)
    (folder / "constraints.txt").write_text("# nothing\n")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "cli").mkdir()
    (folder / "cli" / "__main__.py").write_text(PROGRAM)
    return folder


def run(project: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "run", *arguments], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


def the_script() -> Any:
    loader = importlib.machinery.SourceFileLoader("run_script", str(ROOT / "run"))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_alone_it_prints_what_it_can_do() -> None:
    told = run(ROOT).stdout
    script = the_script()
    assert [line.split()[1] for line in told.splitlines() if line.startswith("  ./run")] == list(
        script.TARGETS
    )
    assert script.CPU_INDEX in told


def test_every_module_it_runs_exists() -> None:
    """A target that leads nowhere must not be listed."""
    script = the_script()
    modules = {script.PYTEST[1], "cli", "benchmarks", "tests.chaos", "tests.capabilities"}
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_a_misspelt_target_is_answered_with_the_nearest() -> None:
    done = run(ROOT, "chek")
    assert (done.returncode, done.stderr.strip()) == (2, "./run has no 'chek'; did you mean check?")


def test_the_first_run_makes_the_environment_and_then_does_its_work(made: Made) -> None:
    project, said = made
    assert any("Making an environment in .venv" in errors for _, errors in said)
    assert all(output.startswith("ran ['demo', '--keep']") for output, _ in said)
    assert json.loads((project / ".venv" / "ridgeline.json").read_text())["extras"] == ["train"]


def test_the_second_run_is_silent_and_quick(made: Made) -> None:
    began = time.monotonic()
    done = run(made[0], "up", "--port", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ran ['up', '--port', '0']")
    assert time.monotonic() - began < 2


def test_it_works_in_the_callers_folder_and_takes_nothing_from_there(made: Made, tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text("print('an impostor')")
    assert run(made[0], "up", cwd=tmp_path).stdout.strip() == f"ran ['up'] in {tmp_path}"


def test_changed_pins_are_installed_anew(made: Made) -> None:
    project, _ = made
    (project / "constraints.txt").write_text(f"# changed at {time.time()}\n")
    assert "Bringing the environment in .venv up to date." in run(project, "up").stderr
    assert run(project, "up").stderr == ""


def test_two_at_once_make_one_environment_out_of_half_a_one(made: Made) -> None:
    assert sum("Making an environment" in errors for _, errors in made[1]) == 1


def test_pip_hears_the_callers_variables_and_its_words_are_shown_when_it_fails(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = empty_project(tmp_path)
    (project / ".venv").symlink_to(made[0] / ".venv")
    broken = "import os; raise SystemExit('no luck with ' + os.environ['PIP_EXTRA_INDEX_URL'])"
    (project / "backend.py").write_text(broken)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://cpu.example/whl")
    before = (made[0] / ".venv" / "ridgeline.json").read_text()
    done = run(project, "up")
    assert done.returncode == 1
    assert "no luck with https://cpu.example/whl" in done.stderr
    assert (made[0] / ".venv" / "ridgeline.json").read_text() == before


def test_it_takes_the_python_that_fits_and_is_whole() -> None:
    script = the_script()
    found = {
        "a": script.Found("a", (3, 9), True),
        "b": None,
        "c": script.Found("c", (3, 12), False),
        "d": script.Found("d", (3, 15), True),
        "e": script.Found("e", (3, 13), True),
    }
    script.candidates, script.ask = lambda: list(found), found.get
    assert script.find_python().path == "e"


def test_it_says_the_one_line_that_mends_a_python_without_ensurepip() -> None:
    script = the_script()
    script.candidates, script.ask = lambda: ["c"], lambda path: script.Found(path, (3, 12), False)
    with pytest.raises(SystemExit, match=r"sudo apt-get install -y python3\.12-venv"):
        script.find_python()


def test_it_says_which_python_it_needs_where_there_is_none() -> None:
    script = the_script()
    script.candidates, script.ask = lambda: ["c"], lambda path: script.Found(path, (3, 9), True)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 to 3\.14; found: 3\.9\. On Debian"):
        script.find_python()


def test_a_name_that_leads_nowhere_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    script = the_script()
    assert script.ask(str(shim)) is None
    assert script.ask(str(tmp_path / "missing")) is None
    assert script.ask(sys.executable).version == sys.version_info[:2]


DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'
KALI = "ID=kali\nID_LIKE=debian\n"
FEDORA = "ID=fedora\n"


@pytest.mark.parametrize(
    ("release", "packaged"), [(DEBIAN, True), (KALI, True), (UBUNTU, False), (MINT, False), (FEDORA, False)]
)
def test_it_knows_where_chromium_is_a_package(release: str, packaged: bool, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(release)
    assert the_script().has_chromium_packaged(tmp_path / "os-release") is packaged
    assert the_script().has_chromium_packaged(tmp_path / "missing") is False


def tools(folder: Path, **scripts: str) -> str:
    """A PATH that leads to these programs and to nothing else."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


APT = 'echo "$@" >> "{folder}/asked"; exit {code}'


def asked_of_apt(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []


def test_a_browser_that_is_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apt = {"apt-get": APT.format(folder=tmp_path, code=0)}
    monkeypatch.setenv("PATH", tools(tmp_path, **{"google-chrome": "", **apt}))
    assert the_script().browser([]) == 0
    assert capsys.readouterr().err == f"The tests use {tmp_path}/google-chrome.\n"
    assert asked_of_apt(tmp_path) == []


@pytest.mark.parametrize(
    ("user", "code", "result", "asked", "word"),
    [
        (0, 0, 0, ["-qq update", "-qq install -y chromium"], ""),
        (0, 1, 1, ["-qq update"], "This failed, and there is still no Chromium: apt-get -qq update"),
        (1000, 0, 1, [], "sudo apt-get install -y chromium"),
    ],
    ids=["root", "root offline", "somebody"],
)
def test_on_debian_root_installs_one_and_others_are_told_how(
    user: int,
    code: int,
    result: int,
    asked: list[str],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path, **{"apt-get": APT.format(folder=tmp_path, code=code)}))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    script = the_script()
    script.has_chromium_packaged = lambda: True
    assert script.browser([]) == result
    assert asked_of_apt(tmp_path) == asked
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(("apt", "more"), [({}, []), ({"apt-get": "exit 1"}, ["--with-deps"])])
def test_elsewhere_playwright_fetches_one(
    apt: dict[str, str], more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path, **apt))
    script, became = the_script(), []

    def become(*command: str) -> None:
        became.append(command)
        raise SystemExit

    script.has_chromium_packaged, script.become = lambda: False, become
    with pytest.raises(SystemExit):
        script.browser([])
    assert became == [("-m", "playwright", "install", "chromium", *more)]


def test_the_script_and_the_tests_look_for_the_same_browsers() -> None:
    assert the_script().BROWSERS == browsers.NAMES


def test_it_is_executable() -> None:
    assert os.access(ROOT / "run", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
