"""Soak: many tiny jobs while the processes that train them are killed, and does anything grow?

    python -m tests.chaos.soak [--jobs 500] [--every 20] [--seed 0]

`ridgeline up` on the embedded default. After every so many jobs a random process that trains is killed, or
stopped for longer than its lease. Memory and open files of the processes that stay (API, worker, reconciler)
are sampled all the while; what is printed is the slope over the last two thirds, when caches are warm.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cli.client import RidgelineError
from tests.chaos.load import SPEC, api_of, ended, unfinished
from tests.stacks import Stack, embedded

OUTSTANDING = 12
"""Jobs that are submitted and have not ended, at any time."""
SAMPLE_SECONDS = 1.0
MOST_GROWTH_BYTES = 20 * 1024**2
"""Over the last two thirds of a run, along the fitted line."""
MOST_FILES = 10
"""More open files at the end than when a third was done."""


@dataclass
class Sample:
    """One process at one moment."""

    at: float
    rss: int
    files: int


@dataclass
class Watch:
    """Samples of the processes that are to stay, until it is stopped."""

    processes: dict[str, psutil.Process]
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.wait(SAMPLE_SECONDS):
            for name, process in self.processes.items():
                with suppress(psutil.NoSuchProcess):
                    rss, files = process.memory_info().rss, process.num_fds()
                    self.samples[name].append(Sample(time.monotonic() - began, rss, files))


@dataclass(frozen=True)
class Growth:
    """How a process grew over the last two thirds."""

    name: str
    first_bytes: int
    last_bytes: int
    bytes_along_the_line: float
    files: tuple[int, int]

    @property
    def is_flat(self) -> bool:
        first, last = self.files
        return self.bytes_along_the_line <= MOST_GROWTH_BYTES and last - first <= MOST_FILES


def growth(name: str, samples: list[Sample]) -> Growth:
    """The fitted line's rise from a third of the samples to the end, and open files at both."""
    late = samples[len(samples) // 3 :]
    line = statistics.linear_regression([each.at for each in late], [each.rss for each in late])
    rise = line.slope * (late[-1].at - late[0].at)
    files = (max(each.files for each in late[:5]), max(each.files for each in late[-5:]))
    return Growth(name, late[0].rss, late[-1].rss, rise, files)


def _stay(stack: Stack) -> dict[str, psutil.Process]:
    """The processes that are not killed: children of `ridgeline up`, known by what they run."""
    api = api_of(stack)
    found = {"api": api}
    for process in psutil.process_iter(["cmdline", "pid"]):
        words = " ".join(process.info["cmdline"] or [])
        with suppress(psutil.Error):
            if process.environ().get("RIDGELINE_PORT") != stack.address.rpartition(":")[2]:
                continue
            if "-m worker.reconciler" in words:
                found["reconciler"] = process
            elif "-m worker" in words and _is_oldest(process):
                found["worker"] = process
    return found


def _is_oldest(process: psutil.Process) -> bool:
    """The parent of the pool, whose children carry the same command line."""
    parent = process.parent()
    return parent is None or "-m worker" not in " ".join(parent.cmdline())


def _strike(stack: Stack, drawn: random.Random) -> str:
    """A fault to one process that trains now; what it was."""
    running = [job["id"] for job in stack.client.listing("/v1/jobs", 20, status="running")]
    pids = {job: stack.trainer(job) for job in running}
    alive = sorted(pid for pid in pids.values() if pid)
    if not alive:
        return "nobody trained"
    pid = drawn.choice(alive)
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if drawn.random() < 0.75:
            psutil.Process(pid).send_signal(signal.SIGKILL)
            return "killed"
        process = psutil.Process(pid)
        process.suspend()
        threading.Timer(1.5 * stack.settings.lease_seconds, _resume, [process]).start()
        return "stopped for longer than its lease"
    return "gone already"


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


def _soak(stack: Stack, jobs: int, every: int, drawn: random.Random, patience: float) -> Counter[str]:
    """Submit all jobs, never many at once, with a fault now and then; the faults by kind."""
    faults: Counter[str] = Counter()
    deadline = time.monotonic() + patience
    for number in range(jobs):
        stack.client.create("/v1/jobs", _spec(number), "application/json")
        if number % every == every - 1:
            faults[_strike(stack, drawn)] += 1
        while unfinished(stack) >= OUTSTANDING and time.monotonic() < deadline:
            time.sleep(0.1)
    while unfinished(stack) and time.monotonic() < deadline:
        time.sleep(0.5)
    return faults


def _spec(number: int) -> bytes:
    training = {**SPEC["training"], "max_epochs": 20, "seed": number}
    return json.dumps({**SPEC, "training": training}).encode()


def main(arguments: list[str]) -> int:
    """The exit code: 1 where a job is missing, or something grows."""
    parser = argparse.ArgumentParser(prog="./run chaos soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--every", type=int, default=20, help="jobs between two faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=1800, help="seconds for everything")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="ridgeline soak "))
    quick = {"concurrency": 2, "backoff_seconds": 0.5, "max_attempts": 10, "log_level": "warning"}
    with embedded(folder, **quick) as stack:
        watch = Watch(_stay(stack))
        thread = threading.Thread(target=watch.run)
        thread.start()
        began = time.monotonic()
        try:
            faults = _soak(stack, chosen.jobs, chosen.every, random.Random(chosen.seed), chosen.patience)
            statuses = ended(stack)
        except RidgelineError as error:
            print(f"the server failed: {error}")
            return 1
        finally:
            watch.stopping.set()
            thread.join()
        seconds = time.monotonic() - began
    grown = [growth(name, samples) for name, samples in watch.samples.items() if len(samples) > 10]
    print(f"{chosen.jobs} jobs in {seconds:.0f} s: {dict(statuses)}; faults: {dict(faults)}")
    for each in grown:
        rise = each.bytes_along_the_line
        print(
            f"{each.name:11} {each.first_bytes / 2**20:6.1f} → {each.last_bytes / 2**20:6.1f} MiB, "
            f"line {rise / 2**20:+.1f} MiB ({1.5 * rise / chosen.jobs / 1024:+.1f} KiB a job), "
            f"open files {each.files[0]} → {each.files[1]}"
        )
    whole = statuses == Counter(succeeded=chosen.jobs)
    print(f"violations: {int(not whole) + sum(not each.is_flat for each in grown)}")
    return int(not whole or not all(each.is_flat for each in grown) or len(grown) < 3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
