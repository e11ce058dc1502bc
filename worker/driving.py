"""Jobs that were claimed together, on one way: one table, one stack, and for each of them its own end.

What concerns one of them (a cancel, a pause, a finish, a lost lease, weights that cannot be stored) takes it
out of the stack and leaves the others where they are. What breaks in a step that they share says nothing
of any of them: all go back into the queue, nothing is counted, and next time each is alone and found out.

What breaks a GPU's context breaks this process: all are lost as with a worker that died, and it is unfit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import structlog

from models.errors import Notice
from models.preprocessing import Prepared, prepare
from models.row_notices import data_problems, row_notices
from models.spec import JobSpec
from models.stacks import Measured
from models.training import Training
from store import datasets
from store.files import Files
from store.jobs import Job
from store.session import Database
from worker import conclusions, devices, endings
from worker.accelerator import Gpu
from worker.attempts import Attempt, Told
from worker.curves import Pace, flush
from worker.datasets import Tables
from worker.endings import Ending, Released
from worker.faults import ALONE, Faults
from worker.outcomes import Outcomes
from worker.stacks import Stack, Stacking

log = structlog.get_logger(__name__)

KEEPING_SECONDS = 0.1
"""At one pulse no further checkpoint is begun behind so long; those that are due then come at the next."""


class Drive:
    """The attempts of one claim, from their table to their ends."""

    def __init__(
        self,
        attempts: Sequence[Attempt],
        database: Database,
        files: Files,
        tables: Tables,
        *,
        begin: Callable[..., Training],
        stack: Stacking,
        draining: Callable[[], bool],
        backoff_seconds: float,
        max_attempts: int = 3,
        gpu: Gpu | None = None,
    ) -> None:
        self._attempts = attempts
        self._database = database
        self._files = files
        self._tables = tables
        self._begin = begin
        self._make_stack = stack
        self._draining = draining
        self._backoff_seconds = backoff_seconds
        self._gpu = gpu
        self._faults = Faults(
            database,
            gpu,
            in_company=len(attempts) > 1,
            max_attempts=max_attempts,
            backoff_seconds=backoff_seconds,
        )
        self._stack: Stack | None = None
        self._outcomes: Outcomes | None = None
        self._pace = Pace()

    def run(self) -> None:
        """Each to its end, whatever comes. Raises `UnfitError` where this process can go on with nothing."""
        for attempt in self._attempts:
            with attempt.in_focus():
                log.info("job begins", queue=attempt.job.queue, dataset=attempt.job.dataset_name)
        try:
            self._train()
        except BaseException as error:
            unfit = self._faults.of_process(error)
            self._break_off(unfit or error)
            if unfit:
                raise unfit from error

    @property
    def _running(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts if not attempt.is_over]

    # ── training ────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self) -> None:
        self._prepare()
        self._attend(at_once=True)
        if not self._running:
            return
        self._stack = self._make_stack([attempt.training for attempt in self._running])
        for attempt in self._running:
            attempt.is_seated = True
        for measured in self._stack.pulses():
            self._pulse(measured)
            if not self._running:
                return

    def _prepare(self) -> None:
        """One table, prepared once, and for each its own training."""
        specs: dict[Attempt, JobSpec] = {}
        for attempt in self._attempts:
            with self._own_part(attempt):
                specs[attempt] = JobSpec.model_validate(attempt.job.spec)
        if not specs:
            return
        first = next(iter(specs))
        with self._focus():
            table = self._tables.of(self._dataset(first.job))
            self._get_on()
            prepared = prepare(specs[first], table)
            self._get_on()
            device = devices.choose(specs[first].training.device, self._gpu.device if self._gpu else None)
            problems = _notices_of("data problems", lambda: data_problems(specs[first], table, prepared))
        self._outcomes = Outcomes(self._files, prepared.preprocessor, table.description)
        for attempt, spec in specs.items():
            with self._own_part(attempt):
                spent = attempt.job.runtime_seconds

                def begin(spec: JobSpec = spec, spent: float = spent) -> Training:
                    return self._begin(spec, prepared, device=device, spent_seconds=spent)

                if training := attempt.kept.resumed(attempt.job, begin):
                    attempt.training = training
                    notices = _notices_of("row notices", partial(_row_notices, spec, prepared))
                    attempt.recorder.warn([*notices, *problems])
                else:
                    self._let_go(attempt, "lost")
            self._get_on()

    def _dataset(self, job: Job) -> datasets.Dataset:
        with self._database.of(job.project_id).reading() as tx:
            return datasets.get(tx, job.dataset_id)

    def _pulse(self, measured: Measured) -> None:
        """Note down what was measured, tell the database in time, and see who is to leave."""
        own = {id(attempt.training): attempt for attempt in self._running}
        for training, epoch in measured:
            if attempt := own.get(id(training)):
                attempt.recorder.take(epoch)
        self._get_on()
        self._flush()
        self._attend()

    def _get_on(self) -> None:
        """All of them do, whoever is at work."""
        for attempt in self._running:
            attempt.lease.pulse(attempt.training.runtime_seconds if attempt.is_seated else None)

    def _flush(self) -> None:
        running = self._running
        waiting = [attempt for attempt in running if attempt.recorder.is_waiting]
        if not self._pace.is_due([attempt.recorder for attempt in waiting]):
            return
        try:
            flush(self._database, [attempt.recorder for attempt in waiting])
        except Exception as error:
            log.warning("epochs cannot be stored together", jobs=len(waiting), error=str(error))
            for attempt in waiting:
                with self._own_part(attempt):
                    flush(self._database, [attempt.recorder])

    # ── who is to leave ─────────────────────────────────────────────────────────────────────────────────────

    def _attend(self, *, at_once: bool = False) -> None:
        """Bring those to their ends that have stopped, or are to; `at_once`: before anything was trained."""
        running, until = self._running, time.monotonic() + KEEPING_SECONDS
        ended: dict[Attempt, Ending] = {}
        try:
            for attempt in running:
                with self._own_part(attempt):
                    is_due = time.monotonic() < until and attempt.kept.is_due(
                        attempt.training, together=len(running)
                    )
                    told = attempt.heed(draining=self._draining(), is_due=is_due)
                    if at_once and told == "finish" and not attempt.training.history:
                        continue
                    if (told or attempt.training.stop_reason) and (ending := self._ending(attempt, told)):
                        ended[attempt] = ending
        finally:  # whatever takes the others along, these are at their ends
            self._conclude(self._settled(ended))

    def _settled(self, ended: Mapping[Attempt, Ending]) -> Mapping[Attempt, Ending]:
        """The same endings once their weights are on the disk to stay; else what comes of that."""
        try:
            if self._outcomes:
                self._outcomes.settle()
        except Exception as error:
            log.exception("weights cannot be kept", jobs=[attempt.job.id for attempt in ended])
            return dict.fromkeys(ended, endings.of(error, delay_seconds=self._backoff_seconds))
        return ended

    def _ending(self, attempt: Attempt, told: Told | None) -> Ending | None:
        """How it ends; None where nothing is left to write: it was paused, or lost on the way."""
        training = attempt.training
        if told in ("lost", "paused"):
            self._let_go(attempt, told)
            return None
        if told == "drain":
            return self._drained(attempt)
        if told == "memory" and self._faults.in_company:
            return Released(f"its stack took more memory than one job may; {ALONE}")
        self._take_out(attempt)
        if told in ("cancel", "memory"):
            training.restore()
        elif told == "finish":
            attempt.recorder.take(training.finish())
        attempt.recorder.warn(training.closing_notices())
        assert self._outcomes is not None  # noqa: S101 - made before any training
        return self._outcomes.of(attempt.job, training, short=told if told in ("cancel", "memory") else None)

    def _drained(self, attempt: Attempt) -> Ending | None:
        """Back into the queue with a checkpoint, if one can be kept; aside where a pause was asked for."""
        if attempt.kept.keep(attempt.training) != "paused":
            return Released("its worker was told to stop")
        self._let_go(attempt, "paused")
        return None

    def _let_go(self, attempt: Attempt, told: Told) -> None:
        log.info("job is let go", because=told)
        self._take_out(attempt)
        attempt.end("left")

    def _take_out(self, attempt: Attempt) -> None:
        """From now on it is a training of its own; one that has stopped by itself is that already."""
        if attempt.is_seated:
            attempt.is_seated = False
            if self._stack and attempt.training.stop_reason is None:
                self._stack.release(attempt.training)

    def _conclude(self, ended: Mapping[Attempt, Ending]) -> None:
        for attempt in ended:
            self._take_out(attempt)
        conclusions.conclude(self._database, ended, backoff_seconds=self._backoff_seconds)

    # ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _focus(self) -> Iterator[None]:
        """What is logged meanwhile is about the job, where there is only one."""
        if self._faults.in_company:
            yield
            return
        with self._attempts[0].in_focus():
            yield

    @contextmanager
    def _own_part(self, attempt: Attempt) -> Iterator[None]:
        """What is raised meanwhile ends this attempt and no other."""
        with attempt.in_focus():
            try:
                yield
            except BaseException as error:
                if unfit := self._faults.of_process(error):
                    raise unfit from error
                log.exception("job broken off")
                self._conclude({attempt: self._faults.of_one(attempt, error)})

    def _break_off(self, error: BaseException) -> None:
        """A step broke that all of them share."""
        running = self._running
        with self._focus():
            log.exception("job broken off", jobs=[attempt.job.id for attempt in running])
        for attempt in running:
            attempt.is_seated = False
        self._conclude({attempt: self._faults.of_all(attempt, error) for attempt in running})


def _row_notices(spec: JobSpec, prepared: Prepared) -> list[Notice]:
    return list(row_notices(spec, prepared))


def _notices_of(what: str, look: Callable[[], list[Notice]]) -> list[Notice]:
    """Notices are good to know; where they cannot be found, for want of memory too, no job ends for it."""
    try:
        return look()
    except Exception:
        log.exception("notices could not be looked for", notices=what)
        return []
