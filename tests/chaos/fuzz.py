"""Schemathesis over the whole OpenAPI document, every check and every phase, against a real server.

    python -m tests.chaos.fuzz [--examples 100] [--seed 1] [--with off|key|nobody …]

A real API process on SQLite with a real broker; a worker's presence is written by hand, so that `/readyz`
says what it says in health, and jobs stay queued. `off` asks a server without keys, `key` one that asks for
keys with an admin's, `nobody` the same with none. The seed makes a run repeatable.

One check is told more than its default: that a request fits the schema does not make it possible. A cursor
that no page gave, a metric that does not fit the data, a name where an address must be are 422, and no
schema can say so; the examples, which must all be accepted, are held by tests of their own.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from store import keys, migrate, workers
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests import servers

WAYS = ("off", "key", "nobody")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CONFIGURATION = """
max-failures = 50
continue-on-failure = true
request-timeout = 30.0
warnings = false
[parameters]
"query.wait" = 0.05
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""
UNTHROTTLED: dict[str, object] = {"auth_failures_per_minute": 10**6}
"""Wrong keys are what is sent here all the time, and 401 is what is to be seen."""
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A running API."""

    address: str
    process: subprocess.Popen[bytes]
    settings: Settings
    log: Path


@contextmanager
def served(folder: Path, **chosen: object) -> Iterator[Served]:
    """`python -m api` in a process of its own, ready to be asked."""
    settings = Settings(data_dir=folder / "data", port=0, log_level="info", **chosen)  # type: ignore[arg-type]
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with Database(settings.database) as database:
        migrate.upgrade(database)
    log = folder / "api.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], env=settings.environment(), stderr=out, stdout=out
        )
    try:
        yield Served(_address(process, log), process, settings, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-4000:])


@contextmanager
def present(settings: Settings) -> Iterator[None]:
    """A worker that is heard of and takes nothing."""
    over = threading.Event()

    def beat() -> None:
        with Database(settings.database) as database:
            while True:
                with database.writing() as tx:
                    workers.seen(tx, "by-hand", host="here", pid=1, queues=["none"])
                if over.wait(2):
                    return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def admin_key(settings: Settings) -> str:
    """A fresh key that may do everything in the default project."""
    with Database(settings.database) as database, database.of(DEFAULT_PROJECT).writing() as tx:
        _, secret = keys.add(tx, name="fuzz", scopes=["admin"])
    return secret


def fuzz(
    server: Served,
    *,
    examples: int,
    seed: int,
    key: str | None = None,
    phases: Sequence[str] = PHASES,
    only: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis against a server; its exit code is 0 where nothing failed."""
    folder = server.log.parent
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    command = [str(Path(sys.executable).with_name("schemathesis")), f"--config-file={configuration}", "run"]
    command += [f"{server.address}/v1/openapi.json", f"--seed={seed}", f"--max-examples={examples}"]
    command += [f"--phases={','.join(phases)}", "--no-color", "--checks=all", *only]
    if key:
        command += ["-H", f"Authorization: Bearer {key}"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def faults(server: Served) -> list[str]:
    """What the server itself wrote down as its own fault."""
    lines = server.log.read_text(errors="replace").splitlines()
    return [line[:2000] for line in lines if '"level":"error"' in line or "Traceback" in line]


def is_well(server: Served) -> bool:
    """Whether it answers still."""
    return httpx2.get(f"{server.address}/healthz", timeout=10).status_code == 200


def main(arguments: list[str]) -> int:
    """The exit code: 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="./run chaos fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=int, default=100, help="cases for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--with", dest="ways", nargs="+", choices=WAYS, default=WAYS)
    chosen = parser.parse_args(arguments)
    failed = 0
    with servers.valkey() as broker:
        for way in chosen.ways:
            failed += _run(way, broker, chosen)
    print(f"violations: {failed}")
    return min(failed, 1)


def _run(way: str, broker: str, chosen: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix=f"ridgeline fuzz {way} "))
    with ExitStack() as running:
        auth = "off" if way == "off" else "keys"
        server = running.enter_context(served(folder, auth=auth, broker_url=broker, **UNTHROTTLED))
        running.enter_context(present(server.settings))
        key = admin_key(server.settings) if way == "key" else None
        done = fuzz(server, examples=chosen.examples, seed=chosen.seed, key=key, phases=chosen.phases)
        wrong = faults(server)
        print(f"— {way}\n{done.stdout[-6000:]}{done.stderr[-2000:]}")
        print("\n".join(wrong[:5]))
        return int(done.returncode != 0) + len(wrong) + int(not is_well(server))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
