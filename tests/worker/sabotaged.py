"""`celery -A tests.worker.sabotaged`: the real worker, but for jobs whose name says what goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from celery import signals

from worker import app as real
from worker.fitness import UnfitError

app = real.app


def _start_child(**_: Any) -> None:
    from models.stacks import Measured
    from tests.worker.building import Watched
    from worker import child

    class Sabotaged(Watched):
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                yield measured
                for training in self.trainings:
                    sabotage(training.spec.name)

    child.start(real.queues(), *real.place(), stack=Sabotaged)


def sabotage(name: str | None) -> None:
    if name == "exit":
        sys.exit(3)
    if name == "unfit":
        raise UnfitError("the test says so")
    if name == "memory":
        raise MemoryError
    if name == "hang":
        time.sleep(3600)
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)


signals.worker_process_init.disconnect(real._start_child)
signals.worker_process_init.connect(_start_child)
