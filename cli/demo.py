"""`ridgeline demo`: one network on real data, with and without regularization, on a server of its own."""

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
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import views
from cli.client import Client
from cli.jobs import ending
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
    "optimizer": {"kind": "adam", "learning_rate": 0.001},
    "training": {"max_epochs": 50, "batch_size": 32, "seed": 0},
    "metrics": ["accuracy"],
}
COCKTAIL = {
    "l1": 1e-5,
    "l2": 1e-4,
    "dropout": [0.5, 0.3],
    "batch_norm": True,
    "early_stopping": {"monitor": "val_loss", "patience": 3, "restore_best_weights": True},
}


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running until Ctrl-C.")] = False,
) -> None:
    """See it work: one network on real data, with and without regularization. Leaves nothing behind."""
    began = time.monotonic()
    console = terminal()
    with tempfile.TemporaryDirectory(prefix="ridgeline-demo-") as folder:
        _say(console, "A server of its own", f"SQLite, private broker, everything in {folder}")
        with _digits(Path(folder)) as file, _server(Path(folder)) as address, Client(address) as client:
            console.print(Text("✓ ", "green").append(address, "default"), soft_wrap=True)
            _show(console, client, file())
            _farewell(console, address, began, keep=keep)


def _show(console: Console, client: Client, file: Path) -> None:
    """Upload, train twice, compare."""
    _say(console, "A real CSV", "1,797 handwritten digits of 8 × 8 pixels, uploaded as anybody would")
    dataset = client.upload(file, target="target")
    console.print(views.dataset_summary(dataset))
    spec = {"dataset": dataset["id"], **NETWORK}
    _say(console, "With regularization", "dropout 0.5 and 0.3, L1, L2, batch norm, early stopping")
    regularized = _train(console, client, {**spec, "name": "regularized", "regularization": COCKTAIL})
    _say(console, "Without", "the same network, the same rows, the same seed")
    plain = _train(console, client, {**spec, "name": "plain", "regularization": {}})
    _say(console, "Side by side", "")
    _compare(console, client, regularized, plain)


def _train(console: Console, client: Client, spec: dict[str, Any]) -> dict[str, Any]:
    job = watch(client, client.post("/v1/jobs", spec)["id"], console)
    console.print(ending(client, job, console))
    if job["status"] != "succeeded":
        raise typer.Exit(1)
    return job


def _compare(console: Console, client: Client, regularized: dict[str, Any], plain: dict[str, Any]) -> None:
    """Both jobs in a table, and what it says in words."""
    jobs = (regularized, plain)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("")
    for name in ("with", "without"):
        table.add_column(name, justify="right")
    for name, values in _rows([job["result"] for job in jobs], [_last_gap(client, job) for job in jobs]):
        table.add_row(Text(name, "bold" if "gap" in name else ""), *values)
    console.print(Padding(table, (0, 0, 1, 2), expand=False))
    console.print(Text(verdict(regularized["result"], plain["result"])))


def _rows(results: list[dict[str, Any]], last_gaps: list[float]) -> Iterator[tuple[str, list[str]]]:
    yield "training loss", [views.number(result["train"]["loss"]) for result in results]
    yield "validation loss", [views.number(result["validation"]["loss"]) for result in results]
    yield "validation ÷ training", [_times(result) for result in results]
    yield "generalization gap", [views.number(result["generalization_gap"]) for result in results]
    yield "gap at the last epoch", [views.number(gap) for gap in last_gaps]
    yield "test accuracy", [f"{result['test']['accuracy']:.2%}" for result in results]
    yield "best epoch", [f"{result['best_epoch']} of {result['last_epoch']}" for result in results]


def _times(result: dict[str, Any]) -> str:
    """How many times worse the network does on rows that it has not seen."""
    seen, unseen = result["train"]["loss"], result["validation"]["loss"]
    return f"{unseen / seen:.1f} ×" if seen else "–"


def _last_gap(client: Client, job: dict[str, Any]) -> float:
    """What the gap would be had the best weights not been restored."""
    curve = client.get(f"/v1/jobs/{job['id']}/curves", series="train_loss,val_loss")["series"]
    return float(curve["val_loss"][-1] - curve["train_loss"][-1])


def verdict(regularized: dict[str, Any], plain: dict[str, Any]) -> str:
    """A sentence that is true whatever the numbers are."""
    with_it, without = regularized["generalization_gap"], plain["generalization_gap"]
    change = "narrowed" if with_it < without else "did not narrow"
    gap = f"Regularization {change} the gap between validation and training loss"
    with_score, without_score = regularized["test"]["accuracy"], plain["test"]["accuracy"]
    scores = f"test accuracy is {with_score:.1%} with it, {without_score:.1%} without"
    return f"{gap} ({without:.3f} without, {with_it:.3f} with); {scores}."


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
