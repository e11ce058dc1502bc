"""Real workers on a real broker: jobs run, processes are killed, and nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery

from store import events, jobs, tables, workers
from store.attempts import of
from store.files import Files
from store.jobs import Job
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from store.workers import Worker
from tests.servers import Databases
from tests.worker.building import SHORT, Workshop, noise
from tests.worker.mishaps import trained

ROOT = Path(__file__).parents[2]
WORKER = ("-m", "worker")
RECONCILER = ("-m", "worker.reconciler")
PATIENCE = 90.0

SOME_SECONDS = {
    "network": {"hidden": [16]},
    "regularization": {"dropout": 0.2},
    "training": {"max_epochs": 25, "batch_size": 8},
}
"""On a few thousand rows: many epochs, each long enough to be killed in."""
LONG_EPOCHS = {"network": {"hidden": [16]}, "training": {"max_epochs": 3, "batch_size": 1}}


@dataclass
class Installation(Workshop):
    """A workshop whose jobs are worked off by processes of their own."""

    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """A process of ours, in a folder that is not the checkout's."""
        changed = {f"RIDGELINE_{name.upper()}": value for name, value in settings.items()}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment | changed,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """A running worker: the one there is, or a new one."""
        running = [
            process for process in self.processes if process.poll() is None and process.args[1:] == [*WORKER]
        ]
        if running:
            return running[0]
        self.processes = [process for process in self.processes if process.poll() is None]
        started = self.start(*WORKER)
        self.until(lambda: any(one.quiet_seconds < 0.5 for one in self.present()))
        return started

    def nudge(self, times: int = 1) -> None:
        """As the API does it: by the task's name, from an app that knows nothing of the workers."""
        with Celery(broker=self.environment["RIDGELINE_BROKER_URL"], set_as_current=False) as app:
            for _ in range(times):
                app.send_task("ridgeline.work", queue="cpu", ignore_result=True)

    def nudges(self) -> int:
        """How many nobody has taken yet."""
        with (
            Celery(broker=self.environment["RIDGELINE_BROKER_URL"], set_as_current=False) as app,
            app.connection_for_read() as connection,
        ):
            return int(connection.default_channel.queue_declare("cpu").message_count)

    def present(self) -> list[Worker]:
        with self.database.reading() as tx:
            return workers.alive(tx, 10)

    def until(self, true: Callable[[], Any], seconds: float = PATIENCE) -> float:
        """Wait until something is so, and say how long that took."""
        began_at = time.monotonic()
        while not true():
            took = time.monotonic() - began_at
            assert took < seconds, (self.folder / "log").read_text()[-6000:]
            time.sleep(0.05)
        return time.monotonic() - began_at

    def until_final(self, job: Job) -> Job:
        self.until(lambda: self.look(job).is_final)
        return self.look(job)

    def until_epoch(self, job: Job, epoch: int) -> Job:
        self.until(lambda: self.look(job).epoch >= epoch)
        return self.look(job)

    def attempts(self, job: Job) -> list[str | None]:
        with self.database.reading() as tx:
            return [attempt.outcome for attempt in of(tx, job.id)]

    def logged(self) -> list[dict[str, Any]]:
        """What the processes logged: an object a line."""
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)
        super().stop()


@contextmanager
def installed(database_url: str, broker: str, folder: Path) -> Iterator[Installation]:
    data = folder / "data folder"
    data.mkdir()
    settings = {
        "DATA_DIR": str(data),
        "DATABASE_URL": database_url,
        "BROKER_URL": broker,
        "CONCURRENCY": "1",
        "LEASE_SECONDS": "2",
        "RECONCILE_SECONDS": "0.2",
        "BACKOFF_SECONDS": "0",
        "CHECKPOINT_SECONDS": "0.5",
    }
    environment = {f"RIDGELINE_{name}": value for name, value in settings.items()}
    with Database(database_url) as database:
        made = Installation(
            database.of(DEFAULT_PROJECT),
            Files(Settings(data_dir=data).files),
            environment={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            folder=folder,
        )
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def watched(
    postgres_databases: Databases, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """With a reconciler; workers are killed on SQLite in the tests from end to end."""
    folder = tmp_path_factory.mktemp("watched")
    with postgres_databases.fresh() as url, installed(url, broker_server, folder) as made:
        made.start(*RECONCILER)
        yield made


@pytest.fixture(scope="module")
def unwatched(
    postgres_databases: Databases, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Without a reconciler: what a worker does by itself."""
    folder = tmp_path_factory.mktemp("unwatched")
    with postgres_databases.fresh() as url, installed(url, broker_server, folder) as made:
        yield made


def assert_whole(installation: Installation, job: Job) -> None:
    """It ended well, and its curve has each epoch once."""
    done = installation.look(job)
    assert done.status == "succeeded", done.error
    epochs = installation.curve(job).epochs
    assert epochs == list(range(1, (done.result or {})["last_epoch"] + 1))
    kinds = installation.kinds(job)
    assert kinds.count("end") == 1
    assert kinds[-1] == "end"


# ── a worker by itself ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_one_nudge_is_enough_for_all_that_waits(unwatched: Installation) -> None:
    unwatched.worker()
    waiting = [unwatched.add_job(**SHORT) for _ in range(3)]
    unwatched.nudge()
    for job in waiting:
        unwatched.until_final(job)
        assert_whole(unwatched, job)
    assert [unwatched.attempts(job) for job in waiting] == [["succeeded"]] * 3
    assert {line["request_id"] for line in unwatched.logged() if line.get("job_id") == waiting[0].id} == {
        "req_test"
    }


@pytest.mark.long
def test_a_warm_worker_begins_within_moments(unwatched: Installation) -> None:
    unwatched.worker()
    job = unwatched.add_job(**SHORT)
    unwatched.nudge()
    assert unwatched.until(lambda: unwatched.look(job).status != "queued") < 1
    unwatched.until_final(job)


def test_nudges_wear_no_child_out(unwatched: Installation) -> None:
    """One that is replaced leaves its pool short for over a second; a nudge is hardly ever a reason."""
    unwatched.worker()

    def trainer() -> str | None:
        job = unwatched.add_job(**SHORT)
        unwatched.nudge()
        return unwatched.until_final(job).worker_id

    before = trainer()
    unwatched.nudge(60)
    unwatched.until(lambda: unwatched.nudges() == 0)
    assert trainer() == before


@pytest.mark.long
def test_a_network_that_no_memory_holds_fails_its_job_alone(unwatched: Installation) -> None:
    worker = unwatched.worker()
    huge = unwatched.add_job(noise(100, 64), network={"hidden": [2**40]}, training={"max_epochs": 1})
    good = unwatched.add_job(**SHORT)
    unwatched.nudge()
    assert unwatched.until_final(huge).stop_reason == "out_of_memory"
    unwatched.until_final(good)
    assert_whole(unwatched, good)
    assert worker.poll() is None


def test_a_worker_that_is_told_to_stop_puts_its_job_back(unwatched: Installation) -> None:
    worker = unwatched.worker()
    job = unwatched.add_job(noise(2000), **SOME_SECONDS)
    unwatched.nudge()
    unwatched.until_epoch(job, 3)
    worker.terminate()
    assert unwatched.until(lambda: unwatched.look(job).status == "queued") < 3
    assert worker.wait(15) == 0
    assert unwatched.present() == []
    assert unwatched.look(job).lost == 0
    assert unwatched.run()  # As the next worker would.
    assert_whole(unwatched, job)
    assert unwatched.attempts(job) == ["released", "succeeded"]


@pytest.mark.long
def test_an_idle_worker_that_is_told_to_stop_is_gone_at_once(unwatched: Installation) -> None:
    worker = unwatched.worker()
    worker.terminate()
    assert worker.wait(10) == 0
    assert unwatched.present() == []


@pytest.mark.long
def test_a_spawned_child_says_that_there_is_no_gpu_and_trains_what_needs_none(
    sqlite_url: str, broker_server: str, tmp_path: Path
) -> None:
    """It starts from nothing but the environment, in which its parent tells it what it found out."""
    with installed(sqlite_url, broker_server, tmp_path) as made:
        worker = made.start(*WORKER, queues="gpu,cpu")
        job, other = (made.add_job(**SHORT) for _ in range(2))
        with made.database.writing() as tx:
            tx.execute(tables.jobs.update().where(tables.jobs.c.id == other.id).values(queue="gpu"))
        made.nudge()
        made.until_final(job)
        assert_whole(made, job)
        assert made.look(other).status == "queued"
        (child,) = made.present()
        assert (child.queues, child.device, child.device_name) == (["cpu"], "cpu", None)
        assert "torch finds no GPU" in (child.problem or "")
        environment = Path(f"/proc/{child.pid}/environ").read_text().split("\0")
        assert {"RIDGELINE_QUEUES=gpu,cpu", "RIDGELINE_CONCURRENCY=1"} <= set(environment)
        assert "PYTORCH_ALLOC_CONF=expandable_segments:True" in environment
        (told,) = (line for line in made.logged() if "no GPU can be used" in line.get("event", ""))
        assert told["takes"] == ["cpu"]
        worker.terminate()
        assert worker.wait(15) == 0
        assert made.present() == []


# ── with a reconciler ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_cancel_acts_within_two_seconds_of_a_long_epoch(watched: Installation) -> None:
    watched.worker()
    job = watched.add_job(noise(60_000), **LONG_EPOCHS)
    watched.until(lambda: watched.look(job).status == "running")
    time.sleep(1)
    watched.ask("cancel", job)
    assert watched.until(lambda: watched.look(job).is_final) < 2
    assert watched.look(job).status == "cancelled"
    assert watched.look(job).epoch == 0


@pytest.mark.long
def test_a_killed_worker_takes_its_children_along(watched: Installation) -> None:
    """Else the child would end the job by itself, and nothing would be lost."""
    worker = watched.worker()
    job = watched.add_job(noise(2000), **SOME_SECONDS)
    watched.until_epoch(job, 5)
    worker.kill()
    worker.wait()
    watched.worker()
    watched.until_final(job)
    assert_whole(watched, job)
    assert watched.attempts(job) == ["lost", "succeeded"]


@pytest.mark.long
def test_a_job_that_was_paused_and_killed_ends_as_one_that_was_not(
    watched: Installation, tmp_path: Path
) -> None:
    """In one process `test_resuming` shows it; in many, on SQLite, the visitors of `tests.chaos`."""
    watched.worker()
    calm, job = (watched.add_job(noise(2000), **SOME_SECONDS) for _ in range(2))
    watched.until_final(calm)
    watched.until_epoch(job, 4)
    watched.ask("pause", job)
    watched.until(lambda: watched.look(job).status == "paused")
    at = watched.look(job).epoch
    watched.ask("resume", job)
    begun = watched.until_epoch(job, at + 4)
    (child,) = (one for one in watched.present() if one.id == begun.worker_id)
    os.kill(child.pid, signal.SIGKILL)
    watched.until_final(job)
    assert_whole(watched, job)
    outcomes = watched.attempts(job)
    assert (outcomes.count("paused"), "lost" in outcomes, outcomes[-1]) == (1, True, "succeeded")
    assert trained(watched, job, tmp_path) == trained(watched, calm, tmp_path)
    with watched.database.reading() as tx:
        rewound = [event.data["epoch"] for event in events.log(tx, job.id) if event.kind == "rewound"]
    assert all(epoch >= at for epoch in rewound), "it never starts over"


@pytest.mark.long
def test_two_workers_never_run_one_job_twice(watched: Installation) -> None:
    """One started as `python -m worker`, one by Celery's own command."""
    watched.worker()
    watched.start("-m", "celery", "-A", "worker.app", "worker", "-Q", "cpu", "-c", "2")
    watched.until(lambda: len([one for one in watched.present() if one.quiet_seconds < 6]) >= 3)
    waiting = [watched.add_job(**SHORT) for _ in range(12)]
    for _ in range(24):
        watched.nudge()
    for job in waiting:
        watched.until_final(job)
        assert_whole(watched, job)
        assert watched.attempts(job) == ["succeeded"]


if sys.platform == "linux":  # Elsewhere no process can limit another.

    @pytest.mark.long
    def test_a_child_that_can_open_no_files_makes_room_for_another(watched: Installation) -> None:
        """It claims nothing, leaves, and is spoken of once; the job is run once, by its successor."""
        worker = psutil.Process(watched.worker().pid)
        unfit = [
            child for child in worker.children() if any(child.pid == one.pid for one in watched.present())
        ]
        assert unfit
        for child in unfit:
            child.rlimit(psutil.RLIMIT_NOFILE, (child.num_fds() + 8, child.rlimit(psutil.RLIMIT_NOFILE)[1]))
        job = watched.add_job(**SHORT)
        for _ in unfit:
            watched.nudge()
        watched.until_final(job)
        assert watched.attempts(job) == ["succeeded"]
        left = [line["reason"] for line in watched.logged() if "this process leaves" in line["event"]]
        assert 1 <= len(left) <= len(unfit)
        assert all("cannot open" in reason for reason in left)


SABOTAGED = ("-m", "celery", "-A", "tests.worker.sabotaged", "worker", "-Q", "cpu", "-c", "1")


@pytest.fixture(scope="module")
def sabotaged(
    migrated_sqlite: Path, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Where jobs do what their names say."""
    folder = tmp_path_factory.mktemp("sabotaged")
    copied = shutil.copyfile(migrated_sqlite, folder / "ridgeline.db")
    with installed(f"sqlite:///{copied}", broker_server, folder) as made:
        # Long enough for a dead child's successor to be heard of: else nobody could be blamed.
        made.start(*SABOTAGED, drain_seconds="3", lease_seconds="5")
        made.start(*RECONCILER, max_attempts="2", lease_seconds="5")
        yield made


@pytest.mark.long
def test_bad_jobs_take_no_worker_down(sabotaged: Installation) -> None:
    bad = {name: sabotaged.add_job(name=name, **SHORT) for name in ("exit", "memory", "segfault")}
    good = sabotaged.add_job(**SHORT)
    reasons = {name: sabotaged.until_final(job).stop_reason for name, job in bad.items()}
    assert reasons == {"exit": "internal_error", "memory": "out_of_memory", "segfault": "worker_lost"}
    assert sabotaged.attempts(bad["segfault"]) == ["lost"] * 2
    sabotaged.until_final(good)
    assert_whole(sabotaged, good)
    assert [process.poll() for process in sabotaged.processes] == [None, None]


@pytest.mark.long
def test_a_child_that_is_unfit_leaves_and_another_takes_its_place(sabotaged: Installation) -> None:
    job, good = sabotaged.add_job(name="unfit", **SHORT), sabotaged.add_job(**SHORT)
    sabotaged.until_final(job)
    assert sabotaged.look(job).stop_reason == "worker_lost"
    assert sabotaged.look(job).stop_detail == "the test says so; 3 attempts were lost, and that is the limit"
    assert sabotaged.attempts(job) == ["lost"] * 3
    sabotaged.until_final(good)
    assert_whole(sabotaged, good)
    assert sabotaged.processes[0].poll() is None
    said = sabotaged.logged()
    left = [line["reason"] for line in said if "another takes its place" in line.get("event", "")]
    assert left == ["the test says so"] * 3


@pytest.mark.long
def test_a_job_that_hangs_does_not_keep_a_worker_from_stopping(sabotaged: Installation) -> None:
    worker = sabotaged.processes[0]
    job = sabotaged.add_job(name="hang", **SHORT)
    sabotaged.until_epoch(job, 1)
    worker.terminate()
    assert worker.wait(3) == 1
    sabotaged.until(lambda: sabotaged.look(job).status == "queued")
    assert sabotaged.attempts(job) == ["lost"]


@pytest.mark.long
def test_the_reconciler_ends_at_once(sqlite_url: str, broker_server: str, tmp_path: Path) -> None:
    with installed(sqlite_url, broker_server, tmp_path) as made:
        reconciler = made.start(*RECONCILER, reconcile_seconds="60")
        job = made.add_job(**SHORT)
        with made.database.writing() as tx:
            assert jobs.claim(tx, worker="dead", queues=["cpu"], lease_seconds=-1)
        made.until(lambda: made.look(job).status == "queued")
        reconciler.terminate()
        assert reconciler.wait(2) == 0
