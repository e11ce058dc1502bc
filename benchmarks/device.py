"""`./run bench device`: is it right on a GPU, how do jobs end there, and how quick is it?

    ./run bench device [--device cuda] [--quick] [--seconds 450] [--out results.jsonl]

Each part is a process of its own with a limit: one that breaks the CUDA context or hangs costs only itself.
`benchmarks.on_device` has the parts; what they find becomes a table here, and a line of JSON each in the file
that `--out` names, as soon as it is there. With `--device cpu` everything runs where there is no GPU, which
shows that this program works, and nothing of a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 450.0
LIMITS = {
    "about": 30,
    "alike": 100,
    "again": 40,
    "endings": 40,
    "speed": 160,
    "textbook": 45,
    "crowd": 35,
}
"""Parts and the seconds that each may take; the order is that of worth, should time run out."""
LEAST_SECONDS = 5.0
"""A part is not begun for less."""

Found = Mapping[str, Any]
"""What a part found: one line of JSON."""


@dataclass(frozen=True)
class Options:
    device: str = "cuda"
    quick: bool = False
    seconds: float = SECONDS
    out: Path | None = None

    @classmethod
    def of(cls, words: Sequence[str]) -> Options:
        """From the command line; `SystemExit` where it cannot be read."""
        parser = argparse.ArgumentParser(prog="./run bench device")
        parser.add_argument("--device", default="cuda", help="cuda, cuda:1, … or cpu")
        parser.add_argument("--quick", action="store_true", help="a minute: fewer cases, a second a speed")
        parser.add_argument("--seconds", type=float, default=SECONDS, help="when to begin no further part")
        parser.add_argument("--out", type=Path, help="a file for what was found, a line of JSON each")
        return cls(**vars(parser.parse_args(words)))


def measure() -> Iterator[Row]:
    return measure_by([])


def measure_by(words: Sequence[str]) -> Iterator[Row]:
    """All parts, one after another, as far as the time goes."""
    options = Options.of(words)
    until = time.monotonic() + options.seconds
    if options.out:
        options.out.write_text("")
    for part, limit in LIMITS.items():
        seconds = min(limit, until - time.monotonic())
        found = (
            run(part, options, seconds)
            if seconds >= LEAST_SECONDS
            else [{"part": part, "error": "not begun: the time is up"}]
        )
        for each in found:
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(each) + "\n")
            yield row(each)
        if part == "about" and "error" in found[-1]:
            return  # no such device, or none that works


def run(part: str, options: Options, seconds: float) -> list[Found]:
    """What a part found in a process of its own, and what became of that where it broke off."""
    words = [part, "--device", options.device, *(["--quick"] if options.quick else [])]
    return _answers(part, [sys.executable, "-m", "benchmarks.on_device", *words], seconds)


def _answers(part: str, command: Sequence[str], seconds: float) -> list[Found]:
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=told,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        trouble: str | None = None
        try:
            if process.wait(timeout=seconds):
                complaints.seek(0)
                trouble = f"ended with {process.returncode}: {_last_line(complaints.read())}"
        except subprocess.TimeoutExpired:
            trouble = f"killed after {seconds:.0f} s"
        finally:
            _kill(process)
        told.seek(0)
        found = [answer for line in told if (answer := _answer(line))]
        return [{"part": part, **each} for each in [*found, *([{"error": trouble}] if trouble else [])]]


def _answer(line: str) -> Found | None:
    """A line of JSON; None where a killed process left half of one, or something else was printed."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "without a word"


def _kill(process: subprocess.Popen[str]) -> None:
    """With the processes that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# ── a line of the table ─────────────────────────────────────────────────────────────────────────────────────


def row(found: Found) -> Row:
    """What was found, in the columns of every benchmark."""
    if "error" in found:
        label = " ".join(str(found[name]) for name in ("part", "what", "members") if name in found)
        return Row(label, str(found["error"])[:80], "", "", "", met=False)
    return _ROWS[found["part"]](found)


def _of_machine(found: Found) -> Row:
    context = f"context {found['context_seconds']:.1f} s, {found['context_bytes'] / 2**20:.0f} MB of RSS"
    return Row(f"{found['name']}, torch {found['torch']}", context, found["precision"], "", "", met=None)


def _of_curves(found: Found) -> Row:
    furthest, most = found["furthest"], found["most"]
    return Row(
        f"{found['what']}: against the CPU",
        f"{furthest:.1e}",
        found["where"],
        "",
        f"≤ {most:g}",
        met=furthest <= most,
    )


def _of_repeating(found: Found) -> Row:
    equal, most = found["bits_equal"], found["most"]
    met = equal if most is None else equal or found["furthest"] <= most
    told = "the same bits" if equal else f"{found['furthest']:.1e} apart"
    return Row(found["what"], told, "", "", "the same bits" if most is None else f"≤ {most:g}", met=met)


def _of_ending(found: Found) -> Row:
    return Row(found["what"], found["ended"], found.get("detail", ""), "", found["wanted"], met=found["ok"])


def _of_speed(found: Found) -> Row:
    counts = ", ".join(
        f"{found[name]:.0f} {what}" for name, what in _COUNTS.items() if found.get(name) is not None
    )
    what = f"{found['what']}, {found['members']} together"
    return Row(what, f"{found['samples']:,.0f} samples/s", counts, "", "", met=None)


_COUNTS = {
    "launches": "operations a step",
    "kernels": "kernels a step",
    "gpu_us": "µs on the GPU",
    "waits": "waits",
}


def _of_textbook(found: Found) -> Row:
    return Row(
        f"{found['what']} alone: the textbook loop, {found['data']}",
        f"{found['ours']:,.0f} samples/s",
        f"{found['samples']:,.0f} samples/s",
        f"{found['ours'] / found['samples']:.2f}×",
        "",
        met=None,
    )


def _of_crowd(found: Found) -> Row:
    alone, together = found["alone"], sum(found["together"])
    what = f"{len(found['together'])} processes at once, {found['what']}, {found['members']} each"
    return Row(
        what, f"{together:,.0f} samples/s", f"one: {alone:,.0f}", f"{together / alone:.2f}×", "", met=None
    )


_ROWS: dict[str, Callable[[Found], Row]] = {
    "about": _of_machine,
    "alike": _of_curves,
    "again": _of_repeating,
    "endings": _of_ending,
    "speed": _of_speed,
    "textbook": _of_textbook,
    "crowd": _of_crowd,
}
