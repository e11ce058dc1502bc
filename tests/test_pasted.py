"""Every shell block of every page is pasted: in order, one shell a page, in a folder with nothing in it yet.

The folder looks like a fresh checkout with its environment. One server stands behind all pages, as `./run up`
starts it. A line is run unless `ELSEWHERE` says by its exact text why it cannot be, so a new block is run. A
command that fails, and a request that is refused, fail the page.
"""

from __future__ import annotations

import csv
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.datasets import bundled_csv
from tests import curl
from tests.markdown import Page, page, pages
from tests.sources import ROOT
from tests.stacks import Stack, embedded

pytestmark = pytest.mark.timeout(180)

BENCH, CHAOS = "takes minutes; tests/benchmarks has its parts", "takes minutes; tests/chaos has its parts"
NETWORK, MACHINES = "installs from the network", "asks machines that are not here"
CONTAINERS = "needs Docker; tests/test_deployment.py reads what it is built of"
SERVER = "stays until Ctrl-C; the server behind these pages was started so"
RECEIVER = "asks a receiver that is not here; tests/cli/test_webhooks.py has one"

ELSEWHERE = {
    "./run demo": "tests/cli/test_demo.py runs it",
    "./run test": "is this suite",
    "./run up": SERVER,
    "ridgeline up": SERVER,
    ".venv/bin/ridgeline up": SERVER,
    "export RIDGELINE_HOST=0.0.0.0": "would ask every later line for a key; tests/cli/test_up.py does so",
    'curl -H "Authorization: Bearer rl_…" http://that-machine:8000/v1/jobs': MACHINES,
    "docker compose up --build --scale worker=2": CONTAINERS,
    "docker compose exec api ridgeline keys create --local first": CONTAINERS,
    "export RIDGELINE_DATABASE_URL=postgresql://ridgeline:secret@db.internal/ridgeline": MACHINES,
    "export RIDGELINE_BROKER_URL=redis://broker.internal:6379/0": MACHINES,
    "export RIDGELINE_FILES_URL=s3://my-bucket/ridgeline": MACHINES,
    "ridgeline worker": MACHINES,
    "./run bench diagnosis": BENCH,
    "./run bench": BENCH,
    "./run bench training stacks": BENCH,
    "./run bench million": BENCH,
    "./run bench growth": BENCH,
    "./run bench h2o": BENCH,
    "./run bench device": BENCH,
    "./run chaos": CHAOS,
    "./run chaos --configuration sqlite --seconds 600 --seed 11": CHAOS,
    "./run chaos mutants": CHAOS,
    '.venv/bin/pip install -c constraints.txt -e ".[export]"': NETWORK,
    "pip install openapi-python-client": NETWORK,
    "openapi-python-client generate --url http://127.0.0.1:8000/v1/openapi.json": (
        "takes seconds; tests/test_clients.py does it, and uses what came of it"
    ),
    "ridgeline export mlflow last --to runs --experiment wine": (
        "MLflow takes seconds to load; tests/api/test_export.py exports so, and reads the run"
    ),
    "ridgeline webhooks create https://hooks.example.com/ridgeline": RECEIVER,
    "ridgeline webhooks test webhook_0193": RECEIVER,
    "ridgeline webhooks deliveries webhook_0193 --status dead": RECEIVER,
    "ridgeline webhooks redeliver webhook_0193 --dead": RECEIVER,
}
"""Lines that are not run here, without their comments, and why."""

PLACES = {"/backups/": "backups/", "/var/lib/ridgeline-restored": "restored"}
"""Folders of a server, which here lie below the page's own."""


@dataclass(frozen=True)
class Checkout:
    """A fresh folder that looks like one after `./run up`, and what stands in for a reader's own words."""

    folder: Path
    stack: Stack
    job: str
    """What a page calls JOB: a job on iris that has ended."""
    dataset: str
    """What a page calls ds_…: the reader's own `mnist.csv`."""

    def own(self, text: str) -> str:
        """The text with this server's address, and the reader's own things for what only stands for them."""
        known = {"http://127.0.0.1:8000": self.stack.address, "ds_…": self.dataset, **PLACES}
        for theirs, ours in known.items():
            text = text.replace(theirs, ours)
        return re.sub(r"(?<=/jobs/)JOB\b", self.job, text)

    def paste(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run it in one shell, which ends at the first command that fails."""
        inherited = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{self.folder / 'bin'}:{self.folder / '.venv/bin'}:{os.environ['PATH']}"
        environment = {**inherited, "PATH": path, "HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            ["sh", "-e"],
            input=text,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def refused(self) -> str:
        """What curl was refused so far."""
        log = self.folder / "refused"
        return log.read_text() if log.exists() else ""


FAILING_CURL = """\
#!/bin/sh
# As the page has it, but an answer that says no is a failure, also in the midst of a pipe.
"{curl}" --fail-with-body "$@"
code=$?
[ $code -ne 22 ] || echo "$*" >> "{log}"
exit $code
"""
OURS = """\
#!/bin/sh
PYTHONPATH="{root}" exec "{python}" {module} "$@"
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


LEFT_OUT = {".git", ".venv", "ridgeline-data", "__pycache__"}


def lay_out(folder: Path, data: Path) -> None:
    """Everything that is committed, linked; an environment's programs; the data folder of the server."""
    folder.mkdir()
    (folder / "home").mkdir()
    for path in ROOT.iterdir():
        if path.name not in LEFT_OUT:
            (folder / path.name).symlink_to(path)
    (folder / "ridgeline-data").symlink_to(data)
    (folder / "backups").mkdir()
    programs = folder / ".venv" / "bin"
    python, root = sys.executable, ROOT
    write_program(programs / "ridgeline", OURS.format(python=python, root=root, module="-P -m cli"))
    write_program(programs / "python", OURS.format(python=python, root=root, module=""))
    stand_in = Path(curl.on_path(programs)) / "curl"
    real = str(stand_in) if stand_in.exists() else shutil.which("curl")
    write_program(folder / "bin" / "curl", FAILING_CURL.format(curl=real, log=folder / "refused"))


def write_own_files(folder: Path) -> None:
    """What a reader is told to have: rows of iris, and digits in 784 columns."""
    bundled_csv("iris", folder / "rows.csv")
    chance = random.Random(0)
    with (folder / "mnist.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*(f"pixel{number}" for number in range(784)), "label"])
        for number in range(200):
            rows.writerow([*(chance.randrange(256) for _ in range(784)), number % 10])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    above = tmp_path_factory.mktemp("pasted")
    with embedded(above) as stack:
        folder = above / "checkout"
        lay_out(folder, stack.settings.data_dir)
        write_own_files(folder)
        dataset = stack.client.upload(folder / "mnist.csv", target="label", task="classification")["id"]
        job = stack.client.post("/v1/jobs", {"dataset": "iris", "training": {"max_epochs": 20}})["id"]
        assert stack.client.get(f"/v1/jobs/{job}", wait=30)["status"] in ("running", "succeeded")
        assert stack.client.get(f"/v1/jobs/{job}", wait=30)["status"] == "succeeded"
        yield Checkout(folder, stack, job, dataset)


def without_comment(line: str) -> str:
    return re.sub(r"\s+#\s.*$", "", line).rstrip()


def is_run(line: str) -> bool:
    return without_comment(line) not in ELSEWHERE


MARK = "§ block {number}"


def script(one: Page) -> str:
    """All shell blocks of a page, each announced, without the lines that are run elsewhere."""
    blocks = [
        # What is printed before may end without the end of a line.
        "\n".join([f"echo; echo '{MARK.format(number=number)}'", *filter(is_run, block.splitlines())])
        for number, block in enumerate(one.code("sh"))
    ]
    return "\n".join(blocks) + "\n"


WITH_BLOCKS = [one for one in pages() if any(map(is_run, "".join(one.code("sh")).splitlines()))]


@pytest.fixture(scope="module")
def printed() -> dict[str, list[str]]:
    """Page → what each of its blocks printed, as far as pages were pasted."""
    return {}


@pytest.mark.parametrize("one", WITH_BLOCKS, ids=lambda one: one.place)
def test_what_a_page_shows_runs_as_pasted(
    one: Page, checkout: Checkout, printed: dict[str, list[str]]
) -> None:
    done = checkout.paste(checkout.own(script(one)))
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert checkout.refused == ""
    printed[one.place] = re.split(r"^§ block \d+\n", done.stdout, flags=re.M)[1:]


def test_the_readmes_blocks_print_what_it_says(checkout: Checkout, printed: dict[str, list[str]]) -> None:
    readme = page("README.md")
    blocks = printed.get(readme.place) or pytest.fail("the README was not pasted, or failed")
    shown = dict(zip(readme.code("sh"), blocks, strict=True))
    (curve,) = [said for block, said in shown.items() if "format=txt" in block]
    (drawn,) = [text for text in readme.code("text") if "val_loss 0." in text]
    for line in (
        r"^best epoch \d+ · val_loss 0\.\d+ · gap -?\d",
        r"^▲ best epoch \d+   ■ stopped at epoch \d+: early",
    ):
        assert re.search(line, curve, re.M), curve
        assert re.search(line, drawn, re.M), "and so does the page"
    (used,) = [said for block, said in shown.items() if "/predict" in block]
    assert used.startswith("label,"), used
    assert "# Model card" in used
    (typed,) = [said for block, said in shown.items() if "predict last" in block]
    assert "✓ cocktail succeeded" in typed
    assert typed.count("good fit: ") + typed.count("overfitting: ") >= 1
    assert "Usage: ridgeline" in typed
    assert {path.name for path in checkout.folder.glob("*.onnx")} >= {"wine.onnx", "network.onnx"}


def test_what_is_not_run_is_on_some_page() -> None:
    blocks = [block for one in pages() for block in one.code("sh")]
    lines = {without_comment(line) for block in blocks for line in block.splitlines()}
    assert set(ELSEWHERE) - lines == set()


def test_a_command_that_fails_and_a_request_that_is_refused_are_noticed(
    checkout: Checkout, tmp_path: Path
) -> None:
    """By the block that the README once had: the newest job, on digits, was asked about wine."""
    before = len(checkout.refused)
    old = """
.venv/bin/ridgeline submit examples/cocktail.yaml
.venv/bin/ridgeline predict last examples/wine.csv
echo never here
"""
    done = checkout.paste(old)
    assert done.returncode != 0
    assert "never here" not in done.stdout
    refused = checkout.paste(checkout.own("curl -s http://127.0.0.1:8000/v1/jobs/job_none | head -3\n"))
    assert "job_none" in checkout.refused[before:], refused
    (checkout.folder / "refused").unlink()
