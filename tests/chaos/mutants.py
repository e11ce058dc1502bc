"""The suite can fail: promises broken on purpose, one line of code each, and the test that must notice.

    ./run chaos mutants [NAME …]

copies the tree, runs every named test there as it is, which must pass, then breaks one thing after another
and demands that its test fails. That the list has not rotted is checked in every `./run test`: each text is
still there, once, and each test exists (`test_mutants.py`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ("api", "cli", "examples", "models", "store", "tests", "worker", "docs")
"""What a test may need of the tree; and every file that lies at its root."""
TEST_SECONDS = 900.0
DATABASE, BROKER = "RIDGELINE_TEST_DATABASE_URL", "RIDGELINE_TEST_BROKER_URL"


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that is in a file exactly once, and what is written in its place."""

    file: str
    text: str
    instead: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A promise broken on purpose."""

    name: str
    breaks: str
    """The promise, and what goes wrong with it."""
    edits: tuple[Edit, ...]
    test: str
    """The test that notices: `tests/…/test_x.py::test_y`."""


MUTANTS = (
    Mutant(
        "no fence",
        "P3: a worker that lost its job goes on writing into it",
        (
            Edit(
                "store/fences.py",
                'return (jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status == "running")',
                'return (jobs.c.id == job_id, jobs.c.status == "running")',
            ),
        ),
        "tests/store/test_fences.py::test_a_stale_fence_writes_nothing",
    ),
    Mutant(
        "a claim keeps the fence",
        "P3: two attempts carry the same fence, and the first can still write",
        (Edit("store/jobs/arrows.py", '"fence": jobs.c.fence + 1,\n        "attempt"', '"attempt"'),),
        "tests/store/test_fences.py::test_each_claim_and_each_loss_raises_the_fence",
    ),
    Mutant(
        "publish before commit",
        "P1: a worker is told of a job that is not there yet, or never will be",
        (
            Edit(
                "api/routes/jobs.py",
                '    log.info("job accepted", job_id=job.id, queue=job.queue)\n'
                "    server.nudges.nudge(job.queue)\n",
                "        server.nudges.nudge(job.queue)\n",
            ),
        ),
        "tests/api/test_nudging.py::test_a_nudge_goes_out_after_the_commit",
    ),
    Mutant(
        "rescue by age",
        "P3, P4: a job that runs for long is taken from a worker that lives and beats",
        (
            Edit(
                "store/jobs/leases.py",
                '.where(jobs.c.status == "running", *UNFINISHED_BY_INDEX, jobs.c.lease_expires_at < now())',
                '.where(jobs.c.status == "running", *UNFINISHED_BY_INDEX, jobs.c.started_at < now(0.1))',
            ),
            Edit(
                "store/jobs/arrows.py",
                "return (*mine(job_id, fence), jobs.c.lease_expires_at < now())",
                "return mine(job_id, fence)",
            ),
        ),
        "tests/store/test_leases.py::test_who_beats_keeps_the_job_and_who_goes_quiet_loses_it",
    ),
    Mutant(
        "epochs without a unique key",
        "P3: nothing in the database keeps an epoch from being there twice",
        (
            Edit(
                "store/migrations/versions/0001_first_tables.py",
                'sa.PrimaryKeyConstraint("job_id", "epoch", name=op.f("pk_points"))',
                'sa.PrimaryKeyConstraint("job_id", "event", name=op.f("pk_points"))',
            ),
        ),
        "tests/store/test_last_defences.py::test_the_database_itself_refuses_an_epoch_twice",
    ),
    Mutant(
        "cancel by message only",
        "P5: the worker is told, and succeeds because it had not heard yet",
        (
            Edit(
                "store/jobs/arrows.py",
                'return _end(tx, "succeeded", values, stop_detail, *mine(job_id, fence), _CANCEL_NOT_ASKED)',
                'return _end(tx, "succeeded", values, stop_detail, *mine(job_id, fence))',
            ),
        ),
        "tests/store/test_claims.py::test_an_acknowledged_cancel_is_never_followed_by_succeeded",
    ),
    Mutant(
        "a counter that counts drains",
        "P6: a healthy job fails because its workers were restarted",
        (
            Edit(
                "store/jobs/arrows.py",
                'return _requeue(tx, {}, ("released", detail)',
                'return _requeue(tx, _counted(ONE), ("released", detail)',
            ),
        ),
        "tests/store/test_claims.py::test_a_released_attempt_does_not_count_as_lost",
    ),
    Mutant(
        "poison for ever",
        "P6: a job that kills its workers is tried again and again",
        (Edit("store/jobs/leases.py", "elif toll.lost and lost >= max_attempts:", "elif lost < 0:"),),
        "tests/store/test_leases.py::test_a_job_that_loses_its_workers_fails_at_last",
    ),
    Mutant(
        "a resume that forgets to rewind",
        "P3: epochs of the lost attempt stay, and the next one's clash with them",
        (
            Edit(
                "store/jobs/arrows.py",
                "        curves.rewind(tx, first.job_id, epoch)\n",
                "        pass\n",
            ),
        ),
        "tests/store/test_claims.py::test_the_curve_is_gapless_after_a_requeue",
    ),
    Mutant(
        "an epoch may be left out",
        "P3: epochs are written wherever they do not follow",
        (
            Edit(
                "store/curves.py",
                "if numbers != list(range(there + 1, there + 1 + len(numbers))):",
                "if numbers != sorted(set(numbers)):",
            ),
        ),
        "tests/store/test_curves.py::test_a_gap_is_refused",
    ),
    Mutant(
        "a file before it is on the disk",
        "P3: a row points to a checkpoint or to weights that a crash may still take away",
        (Edit("store/files.py", "                os.fsync(target.fileno())\n", ""),),
        "tests/store/test_last_defences.py::test_a_file_is_on_the_disk_before_it_has_its_name",
    ),
    Mutant(
        "one set of weights for all attempts",
        "P3: a stale worker overwrites the file that the result points to",
        (
            Edit(
                "store/weights.py",
                'return f"{FOLDER}/{job_id}.{fence}.safetensors"',
                'return f"{FOLDER}/{job_id}.safetensors"',
            ),
        ),
        "tests/store/test_weights.py::test_each_attempt_has_a_key_of_its_own",
    ),
    Mutant(
        "a checkpoint ahead of its epochs",
        "P3: the next attempt goes on behind epochs that nobody ever recorded",
        (Edit("store/checkpoints.py", "    if job.epoch != epoch:\n", "    if job.epoch > epoch:\n"),),
        "tests/store/test_checkpoints.py::test_none_is_ahead_of_its_curve_or_behind_it",
    ),
    Mutant(
        "a file deleted ahead of its row",
        "P3: a commit that fails leaves a row that points to a checkpoint which is gone",
        (
            Edit(
                "worker/checkpoints.py",
                "        return checkpoints.add(tx, job_id, fence, stored, ",
                "        self._delete(one.key for one in checkpoints.of(tx, job_id)[1:])\n"
                "        return checkpoints.add(tx, job_id, fence, stored, ",
            ),
        ),
        "tests/worker/test_side_effects.py::test_every_side_effect_may_be_the_last[checkpoint]",
    ),
    Mutant(
        "dropout that starts over",
        "P3: a job that goes on draws other masks than one that nobody disturbed",
        (Edit("models/training.py", '        self.network.randomness.resume(state["dropout"])\n', ""),),
        "tests/models/test_checkpoints.py::test_it_goes_on_from_anywhere",
    ),
    Mutant(
        "every loss counts",
        "P6: a healthy job fails on a machine that dies now and then, though it gets on each time",
        (
            Edit(
                "store/jobs/tolls.py",
                "    if tx.execute(sa.select(_progressed(loss))).scalar():\n        return NOTHING\n",
                "",
            ),
        ),
        "tests/store/test_leases.py::test_a_loss_behind_a_newer_checkpoint_does_not_count",
    ),
    Mutant(
        "an outbox beside the transaction",
        "P3: webhooks tell of changes that were rolled back, or never tell of those that were not",
        (
            Edit(
                "store/jobs/telling.py",
                "    outbox.announce(tx, [",
                "    with tx.engine.begin() as own:\n        outbox.announce(own, [",
            ),
        ),
        "tests/store/test_outbox.py::test_a_change_that_is_rolled_back_is_not_told",
    ),
    Mutant(
        "a reconciler that trusts the broker",
        "P2: a job whose nudge was lost waits for ever",
        (Edit("worker/reconciler.py", "        self._attempt(self.nudge)\n", ""),),
        "tests/worker/test_reconciler.py::test_as_many_nudges_wait_as_jobs_are_due",
    ),
    Mutant(
        "a key that two may use at once",
        "P1: a submission that is repeated while the first is under way makes a second job",
        (
            Edit(
                "store/idempotency.py",
                "    if row.token == ticket.token:\n        return ticket\n",
                "    if row.status is None:\n        return ticket\n",
            ),
        ),
        "tests/store/test_idempotency.py::test_one_still_being_answered_is_in_flight",
    ),
    Mutant(
        "a project that sees another's jobs",
        "P8: whoever knows an id may cancel what is not his",
        (
            Edit(
                "store/jobs/actions.py",
                "chosen = select_jobs().where(jobs.c.id == job_id, only(tx, jobs))",
                "chosen = select_jobs().where(jobs.c.id == job_id)",
            ),
        ),
        "tests/store/test_listing.py::test_another_projects_jobs_are_not_there",
    ),
    Mutant(
        "a revoked key that still opens",
        "P8: whoever was shut out comes in again",
        (
            Edit(
                "store/keys.py",
                "return sa.and_(keys.c.revoked_at.is_(None), unexpired)",
                "return sa.and_(sa.true(), unexpired)",
            ),
        ),
        "tests/api/test_access_table.py::test_without_a_valid_key",
    ),
    Mutant(
        "reading is enough for writing",
        "P8: a key that was given to look on may submit and cancel",
        (
            Edit(
                "api/access.py",
                'return "read" if method in ("GET", "OPTIONS") else "write"',
                'return "read"',
            ),
        ),
        "tests/api/test_access_table.py::test_a_scope_lets_in_to_what_it_is_for",
    ),
)


def main(names: Sequence[str]) -> int:
    """Run all of them, or those named; 0 if every one is caught."""
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        print(f"there is no mutant {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    with _copied() as tree, servers.postgres() as database, servers.valkey() as broker:
        run = partial(_run, tree, {DATABASE: database, BROKER: broker})
        if (passed := run(sorted({mutant.test for mutant in chosen}))) != 0:
            print(f"the named tests do not even pass as things are (exit code {passed})", file=sys.stderr)
            return 1
        survivors = [mutant.name for mutant in chosen if not _is_caught(tree, mutant, run)]
    print(f"mutants: {len(chosen)}, caught: {len(chosen) - len(survivors)}")
    return 1 if survivors else 0


def _is_caught(tree: Path, mutant: Mutant, run: Callable[..., int]) -> bool:
    """Break it, run its test, mend it again."""
    before = {edit.file: (tree / edit.file).read_text(encoding="utf-8") for edit in mutant.edits}
    for edit in mutant.edits:
        apply(tree, edit)
    code = run([mutant.test], quiet=True)
    for file, text in before.items():
        (tree / file).write_text(text, encoding="utf-8")
    # Anything but 1 is no failed test: it could not be collected, or was not found.
    caught = code == 1
    said = "caught" if caught else f"SURVIVED (exit code {code})"
    print(f"{mutant.name:<38} {said:<10} {mutant.test.partition('::')[2]}", flush=True)
    return caught


def apply(tree: Path, edit: Edit) -> None:
    """Make one edit in a tree, whose text must be there once."""
    path = tree / edit.file
    text = path.read_text(encoding="utf-8")
    if text.count(edit.text) != 1:
        raise ValueError(f"{edit.file} has {text.count(edit.text)} times: {edit.text!r}")
    path.write_text(text.replace(edit.text, edit.instead), encoding="utf-8")


def _run(tree: Path, running: dict[str, str], tests: Iterable[str], *, quiet: bool = False) -> int:
    """pytest's exit code, with the packages of that tree and not of ours, on servers that run already."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, **running, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=output, stderr=output, timeout=TEST_SECONDS, check=False
    )
    return done.returncode


@contextmanager
def _copied() -> Iterator[Path]:
    """A copy of the tree, to be broken."""
    with tempfile.TemporaryDirectory(prefix="ridgeline mutants ") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in WHOLE:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy(path, tree)
        yield tree


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
