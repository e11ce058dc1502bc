"""One process of the pool: what it keeps from job to job, and how it is asked to stop.

SIGTERM asks for a drain: the jobs at hand go back into the queue at their next pulse. The signal is held up
until a task can take it, so that a child which is told to stop while it starts does not begin a job.

Importing this module loads torch; `worker.app` and the reconciler do without.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module

import structlog
import torch

from store.errors import DatabaseUnavailable
from store.files import Files
from store.session import Database
from store.settings import Settings
from store.tracing import Tracing
from worker import devices, memory, reports
from worker.checkpoints import Cadence
from worker.fitness import UnfitError
from worker.heartbeat import Heartbeat
from worker.memory import Memory
from worker.runner import Runner
from worker.stacks import Stacking, stacked

log = structlog.get_logger(__name__)

_REQUESTS = (signal.SIGTERM, signal.SIGQUIT)
_NICENESS = 5
"""Training yields to whoever answers people: the API on the same machine."""


class Child:
    """A process that runs jobs: one at a time, or together those that share a stack."""

    def __init__(self, settings: Settings, queues: tuple[str, ...], stack: Stacking) -> None:
        self.queues = queues
        self.draining = False
        self._is_fit = True
        self._database = Database(settings.database, pool_size=2)
        self._heartbeat = Heartbeat(
            self._database,
            queues=queues,
            lease_seconds=settings.lease_seconds,
            progress_seconds=settings.progress_seconds,
            memory=Memory(settings.max_memory_bytes),
            version=reports.version(),
            device=devices.choose("auto"),
        )
        self._tracing = Tracing(settings.otel_endpoint, "ridgeline-worker")
        self._runner = Runner(
            self._database,
            Files(settings.files),
            self._heartbeat,
            at_most=settings.stack,
            backoff_seconds=settings.backoff_seconds,
            cadence=Cadence(settings.checkpoint_seconds, settings.checkpoint_epochs),
            draining=lambda: self.draining,
            stack=stack,
            tracing=self._tracing,
        )
        self._heartbeat.start()

    def work(self, at_most: int) -> None:
        """Run the jobs that wait, best first, until none is left, after `at_most` claims or when told to.

        Raises `UnfitError` once: from then on nothing is claimed here.
        """
        _take_requests(self._drain)
        try:
            for _ in range(at_most):
                if self.draining or not self._is_fit or not self._run_next():
                    return
        except UnfitError:
            self._is_fit = False
            raise

    def stop(self) -> None:
        """Sign off."""
        self._heartbeat.stop()
        self._tracing.close()
        self._database.close()

    def _run_next(self) -> bool:
        try:
            return self._runner.run_next(self.queues)
        except DatabaseUnavailable as error:
            log.warning("the table of jobs cannot be read; the reconciler will nudge again", error=str(error))
        except UnfitError:
            raise
        except BaseException:
            # A MemoryError that leaves a task takes the whole Celery worker with it.
            log.exception("a job was left to its lease")
        return False

    def _drain(self, *_: object) -> None:
        self.draining = True


_child: Child | None = None


def start(queues: tuple[str, ...], *, stack: Stacking = stacked) -> Child:
    """Become a child: libraries loaded, threads as set, polite to the rest of the machine."""
    global _child
    signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)  # before there are threads that would take them
    settings = Settings()
    import_module("polars")
    torch.set_num_threads(settings.threads)
    os.nice(_NICENESS)
    if not torch.cuda.is_available():  # A GPU's driver claims addresses by the terabyte.
        memory.refuse_beyond(settings.max_memory_bytes)
    _child = Child(settings, queues, stack)
    return _child


def work(queues: tuple[str, ...], *, at_most: int) -> None:
    """What a nudge asks for. Raises `UnfitError` where another child must take over."""
    child = _child or start(queues)
    child.work(at_most)


def stop() -> None:
    """The pool replaces this child, or ends."""
    if _child:
        _child.stop()


def _take_requests(handler: signal._HANDLER) -> None:
    for number in _REQUESTS:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
