"""A process that can open no more files claims nothing; it took job after job before, and gave each back."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from tests.worker.building import Workshop
from worker import open_files
from worker.fitness import UnfitError
from worker.open_files import NEEDED, OpenFiles
from worker.runner import Runner


@contextmanager
def few_open_files(more: int) -> Iterator[None]:
    """As many more as these, for this process: numbers below the limit that nothing has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = set(_held())
    free = (number for number in range(soft) if number not in held)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, more, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _held() -> list[int]:
    found = [int(path.name) for path in Path("/dev/fd").iterdir()]
    return [number for number in found if _is_open(number)]


def _is_open(number: int) -> bool:
    """The folder was open itself while it was read."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_nothing_is_claimed_without_open_files(small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    runner = Runner(small_workshop.everybodys, small_workshop.files, small_workshop.heartbeat())
    runner.run_next(["gpu"])  # its connection is open
    with few_open_files(NEEDED - 1):
        for _ in range(3):
            with pytest.raises(UnfitError, match="files"):
                runner.run_next(["cpu"])
        assert not runner.run_next(["gpu"])  # nothing waits: nothing is needed
    assert small_workshop.kinds(job) == ["queued"]
    assert runner.run_next(["cpu"])
    assert small_workshop.look(job).status == "succeeded"


def test_what_is_asked_for_is_more_than_a_job_takes(small_workshop: Workshop) -> None:
    """With so many a job is trained, checkpoints and weights included."""
    job = small_workshop.add_job()
    runner = Runner(small_workshop.everybodys, small_workshop.files, small_workshop.heartbeat())
    runner.run_next(["gpu"])
    with few_open_files(NEEDED + 2):
        assert runner.run_next(["cpu"])
    assert small_workshop.look(job).status == "succeeded"


def test_a_look_leaves_nothing_open() -> None:
    before = _held()
    assert OpenFiles().suffice()
    with few_open_files(5), pytest.raises(UnfitError):
        OpenFiles().suffice()
    assert _held() == before


def test_a_machine_without_open_files_is_complained_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process of it could open no more: this one stays, and claims nothing for a while."""
    said: list[str] = []
    monkeypatch.setattr(open_files.log, "error", lambda event, **_: said.append(event), raising=False)
    looking = OpenFiles()
    with monkeypatch.context() as full:

        def refuse(*_: object) -> int:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

        full.setattr(os, "open", refuse)
        assert not any(looking.suffice() for _ in range(3))
    assert len(said) == 1
    assert looking.suffice()
