"""`ridgeline demo`: what regularization does on real data with wrong labels, on a server of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress
from rich.text import Text

from cli import views
from cli.client import Client
from cli.demo_data import SPLIT, TARGET, spoil
from cli.demo_results import EPOCHS, FIRST, LAST, RECIPES, SEEDS, comparison, conclusion
from cli.jobs import look
from cli.occupancy import occupant
from cli.options import terminal
from cli.processes import ROOMS, Child, Program, StartError, room
from cli.watching import watch
from store.settings import Settings

START_SECONDS = 90.0
WRITE_DIGITS = """
import sys
from pathlib import Path
from models.datasets import bundled_csv
bundled_csv("digits", Path(sys.argv[1]))
"""

NETWORK = {
    "network": {"hidden": [128, 64], "activation": "relu"},
    "optimizer": {"kind": "adam", "learning_rate": 0.002},
    "metrics": ["accuracy"],
    "split": {"column": SPLIT},
}
TRAINING = {"max_epochs": EPOCHS, "batch_size": 64}
POLL_SECONDS = 0.4
FINAL = ("succeeded", "failed", "cancelled")


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running until Ctrl-C.")] = False,
) -> None:
    """See what regularization does on data with wrong labels, step by step. Leaves nothing behind."""
    began = time.monotonic()
    console = terminal()
    with tempfile.TemporaryDirectory(prefix="ridgeline-demo-") as folder:
        _say(console, "A server of its own", f"SQLite, private broker, everything in {folder}")
        with _digits(Path(folder)) as file, _server(Path(folder)) as address, Client(address) as client:
            console.print(Text("✓ ", "green").append(address, "default"), soft_wrap=True)
            _show(console, client, file())
            _farewell(console, address, began, keep=keep)


def _show(console: Console, client: Client, digits: Path) -> None:
    """Upload, train every recipe from every seed, compare."""
    _say(console, "Real data, spoiled", "1,797 handwritten digits, two in five labels shuffled")
    file = digits.with_name("spoiled-digits.csv")
    spoiled = spoil(digits, file)
    dataset = client.upload(file, target=TARGET)
    console.print(views.dataset_summary(dataset))
    console.print(
        Text(f"  {spoiled.rows['test']} test rows keep their right labels; training never sees them", "dim")
    )
    networks = len(RECIPES) * SEEDS
    _say(
        console,
        f"{networks} networks",
        f"{len(RECIPES)} recipes from {SEEDS} seeds each; one on its way:",
    )
    jobs = _train(console, client, dataset["id"])
    console.print(Text("✓ ", "green").append(_trained_together(jobs), "default"))
    results = {name: [job["result"] for job in jobs if job["metadata"]["recipe"] == name] for name in RECIPES}
    _say(console, "Validation loss", "of the first seed, with nothing and with everything")
    console.print(_draw(console, client, jobs))
    about = f"mean ± standard deviation of {SEEDS} seeds, ● the best; {spoiled.rows['test']} test rows"
    _say(console, "Side by side", about)
    console.print(Padding(comparison(results), (0, 0, 1, 2), expand=False))
    console.print(Text(conclusion(results, wrong_share=spoiled.wrong_share)))


def _train(console: Console, client: Client, dataset: str) -> list[dict[str, Any]]:
    """All networks, trained; one is watched while the others wait behind it, to be trained as stacks."""
    first, *others = [
        _spec(dataset, name, seed) for name in sorted(RECIPES, key=LAST.__ne__) for seed in range(SEEDS)
    ]
    leader = client.post("/v1/jobs", first)["id"]
    ids = [leader, *(client.post("/v1/jobs", spec)["id"] for spec in others)]
    watch(client, leader, console)
    _await(console, client, len(ids))
    jobs = [client.get(f"/v1/jobs/{job_id}") for job_id in ids]
    for job in jobs:
        if job["status"] != "succeeded":
            console.print(views.outcome(job))
            raise typer.Exit(1)
    return jobs


def _spec(dataset: str, recipe: str, seed: int) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "name": f"{recipe}, seed {seed}",
        "metadata": {"recipe": recipe},
        **NETWORK,
        "regularization": RECIPES[recipe],
        "training": {**TRAINING, "seed": seed},
    }


def _await(console: Console, client: Client, jobs: int) -> None:
    """Until all have ended, with a bar where somebody looks."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("networks trained", total=jobs)
        while (done := _count_ended(client, jobs)) < jobs:
            progress.update(bar, completed=done)
            time.sleep(POLL_SECONDS)


def _count_ended(client: Client, jobs: int) -> int:
    return sum(job["status"] in FINAL for job in client.listing("/v1/jobs", jobs))


def _trained_together(jobs: list[dict[str, Any]]) -> str:
    """How many took their last steps in one stack."""
    together = 1 + max(job["environment"].get("company") or 0 for job in jobs)
    return f"{len(jobs)} networks trained, up to {together} of them together as one stack"


def _draw(console: Console, client: Client, jobs: list[dict[str, Any]]) -> Text:
    """Two curves over each other, as the server draws them."""
    shown = [next(job["id"] for job in jobs if job["metadata"]["recipe"] == name) for name in (FIRST, LAST)]
    query = {"jobs": ",".join(shown), "series": "val_loss", "format": "txt", **look(console)}
    return Text.from_ansi(client.read("/v1/curves", **query).decode().rstrip())


def _farewell(console: Console, address: str, began: float, *, keep: bool) -> None:
    seconds = time.monotonic() - began
    console.print(
        Text(f"\n{seconds:.0f} s in all. The server is at {address}, its documentation at {address}/docs.")
    )
    if not keep:
        console.print(
            Text("Stopping it; `./run demo --keep` leaves it running, `./run up` starts your own.", "dim")
        )
        return
    console.print(Text("It runs until Ctrl-C.", "dim"))
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print(Text("Stopping it.", "dim"))


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """`ridgeline up` on a free port, stopped at the end."""
    data = folder / "data"
    settings = Settings(data_dir=data, port=0, concurrency=1, database_url="", broker_url="", files_url="")
    # What libraries leave in the temporary folder goes with ours.
    environment = {**settings.environment(), "TMPDIR": str(folder)}
    program = Program("server", [*room("cli"), "up"], environment, log=folder / "up.log", grace_seconds=15)
    child = Child(program, lambda _: None)
    try:
        yield _address(child, data)
    finally:
        child.ask_to_stop()
        child.wait(time.monotonic() + program.grace_seconds, hurry=lambda: False)


def _address(child: Child, data: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = occupant(data)
        if found and found.address:
            return found.address
        child.tend()
        if child.failures:
            break
        time.sleep(0.05)
    raise StartError(f"the server did not start\n{child.last_words(20)}")


@contextmanager
def _digits(folder: Path) -> Iterator[Callable[[], Path]]:
    """The data as a CSV file, written while the server starts; by a process that knows of data."""
    path = folder / "digits.csv"
    with subprocess.Popen([sys.executable, "-c", WRITE_DIGITS, path], cwd=ROOMS) as writer:  # noqa: S603

        def written() -> Path:
            if writer.wait() != 0:
                raise StartError("the CSV file could not be written")
            return path

        yield written


def _say(console: Console, what: str, about: str) -> None:
    console.print(Text(f"\n{what}", "bold").append(f"  {about}", "not bold dim"), soft_wrap=True)
