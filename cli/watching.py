"""A job as it goes: a bar and a growing curve where somebody looks, a few lines where nobody does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.client import Client, Event
from cli.sketch import sketch
from cli.views import in_line, name_of, number, plain

SERIES = {"train_loss": "cyan", "val_loss": "yellow"}
LINES_WITHOUT_A_TERMINAL = 10
SECONDS_BETWEEN_LINES = 5.0
SKETCH_ROWS = 8
NARROWEST_BAR = 10


class Scene:
    """What is known of a job while it runs, kept up to date by its events."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.name = name_of(job)
        self.status: str = job["status"]
        self.waiting: dict[str, Any] = job.get("waiting") or {}
        self.max_epochs: int = job["progress"]["max_epochs"]
        self.curves: dict[str, list[float]] = {name: [] for name in SERIES}
        self.epoch = 0
        self.began = time.monotonic()
        self.connected = True

    def take(self, event: Event) -> None:
        """Bring the scene up to date with one more event."""
        self.connected = True
        if event.kind == "epoch":
            self.epoch = event.data["epoch"]
            for name, line in self.curves.items():
                value = event.data["values"].get(name)
                line.append(math.nan if value is None else value)
        elif event.kind == "rewound":
            self._rewind(event.data.get("epoch", 0))
        elif event.kind == "status":
            self.status = event.data.get("status", self.status)

    def _rewind(self, epoch: int) -> None:
        """Another worker goes on from this epoch: what the first one measured behind it does not count."""
        self.epoch = epoch
        for line in self.curves.values():
            del line[epoch:]

    def losses(self) -> list[tuple[str, float, str]]:
        """Name, last value and colour of each loss that was ever measured."""
        measured = {name: line for name, line in self.curves.items() if any(map(math.isfinite, line))}
        return [(name, line[-1], SERIES[name]) for name, line in measured.items()]


class Screen(Protocol):
    """Something that shows a scene again after each event."""

    def show(self, scene: Scene, event: Event | None, /) -> None: ...


def watch(client: Client, job_id: str, console: Console) -> dict[str, Any]:
    """Follow a job to its end on the console; gives the finished job."""
    scene = Scene(client.get(f"/v1/jobs/{job_id}"))
    with _screen(console) as screen:
        screen.show(scene, None)
        for event in client.events(job_id, on_cut=_cut(scene, screen)):
            scene.take(event)
            screen.show(scene, event)
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}")
    return job


def _cut(scene: Scene, screen: Screen) -> Callable[[], None]:
    def cut() -> None:
        scene.connected = False
        screen.show(scene, None)

    return cut


@contextmanager
def _screen(console: Console) -> Iterator[Screen]:
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, transient=True, refresh_per_second=12) as live:
        yield Picture(live)


class Picture:
    """Progress bar and curve, redrawn in place."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._spinner = Spinner("dots", style="cyan")

    def show(self, scene: Scene, _: Event | None) -> None:
        """Hand the picture over; the terminal redraws it a few times a second."""
        self._live.update(self._draw(scene))

    def _draw(self, scene: Scene) -> RenderableType:
        width = min(self._live.console.width, 100)
        if not scene.epoch:
            return _waiting(self._spinner, scene)
        lines = {SERIES[name]: line for name, line in scene.curves.items()}
        return Group(_head(scene, width), sketch(lines, scene.max_epochs, width, SKETCH_ROWS))


def _waiting(spinner: Spinner, scene: Scene) -> RenderableType:
    words = waiting_words(scene) if scene.status == "queued" else "preparing the data"
    spinner.text = Text(scene.name, "bold").append(f"  {scene.status}, {words}", "not bold dim")
    if scene.status == "queued" and (notice := scene.waiting.get("notice")):
        return Group(spinner, Text(f"  ! {plain(notice)}", "yellow"))
    return spinner


def waiting_words(scene: Scene) -> str:
    """What a queued job waits for, and behind how many others, as far as that is known."""
    return f"waiting for a worker ({in_line(scene.waiting)})" if scene.waiting else "waiting for a worker"


def _head(scene: Scene, width: int) -> RenderableType:
    """Name, bar, epoch and losses on one line."""
    facts = Text(f"{scene.epoch}/{scene.max_epochs}")
    for name, value, style in scene.losses():
        facts.append(f"  {name} ", "dim").append(number(value), style)
    facts.append(f"  {time.monotonic() - scene.began:.0f} s", "dim")
    if not scene.connected:
        facts.append("  connection lost, trying again", "yellow")
    title = Text(scene.name, "bold")
    title.truncate(width // 4, overflow="ellipsis")
    bar = max(width - title.cell_len - facts.cell_len - 4, NARROWEST_BAR)
    grid = Table.grid(padding=(0, 2))
    grid.add_row(title, ProgressBar(scene.max_epochs, scene.epoch, width=bar), facts)
    return grid


class Lines:
    """A line now and then: about ten for a short job, one every few seconds for a long one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0

    def show(self, scene: Scene, event: Event | None) -> None:
        """Print what is worth a line."""
        if event is None:
            self._print(
                f"{scene.name}: {scene.status if scene.connected else 'connection lost, trying again'}"
            )
            if scene.status == "queued" and scene.waiting.get("ahead"):
                self._print(f"  {waiting_words(scene)}")
            if scene.status == "queued" and (notice := scene.waiting.get("notice")):
                self._print(f"  ! {plain(notice)}")
        elif event.kind == "epoch" and self._is_due(scene):
            self._last = time.monotonic()
            losses = "  ".join(f"{name} {number(value)}" for name, value, _ in scene.losses())
            self._print(f"  epoch {scene.epoch:>{len(str(scene.max_epochs))}}/{scene.max_epochs}  {losses}")
        elif event.kind in ("warning", "rewound"):
            self._print(f"  {event.kind}: {plain(event.data.get('detail', ''))}")

    def _is_due(self, scene: Scene) -> bool:
        stride = max(scene.max_epochs // LINES_WITHOUT_A_TERMINAL, 1)
        long_ago = time.monotonic() - self._last > SECONDS_BETWEEN_LINES
        return scene.epoch == 1 or scene.epoch % stride == 0 or long_ago

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
