"""A process of the pool that finds no GPU, or is fit for nothing more: what it serves, and how it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from billiard.pool import EX_RECYCLE

from store import workers
from store.settings import Settings
from store.workers import Worker
from tests.worker.building import Workshop
from tests.worker.test_accelerator import LOST, Answers
from worker import child, tasks
from worker.accelerator import DeviceLostError, Gpu
from worker.child import Child
from worker.fitness import UnfitError
from worker.stacks import stacked

Makes = Callable[..., Child]


@pytest.fixture
def make(small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Makes]:
    """Children of this process, which stays what it is."""
    monkeypatch.setattr(child, "_take_requests", lambda handler: None)
    url = small_workshop.database.url.render_as_string(hide_password=False)
    settings = Settings(database_url=url, files_url=f"file://{tmp_path}/files", data_dir=tmp_path)
    made: list[Child] = []

    def make(*queues: str, **options: Any) -> Child:
        made.append(Child(settings, queues, stacked, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def seen(workshop: Workshop) -> Worker:
    """The worker that is there, once it has said so."""
    while True:
        with workshop.database.reading() as tx:
            if found := workers.alive(tx, 30):
                return found[0]
        time.sleep(0.01)


def test_a_gpu_is_looked_for_only_where_its_queue_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("the driver was asked"))
    assert child._take_gpu(("cpu",), 0, 1) == (None, None)


def test_without_a_gpu_there_is_a_reason() -> None:
    gpu, problem = child._take_gpu(("gpu", "cpu"), 0, 1)
    assert gpu is None
    assert (problem or "").startswith("it takes no jobs that ask for a GPU: torch finds no GPU")


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({}, ("cpu", None, None)),
        ({"gpu": Gpu("cuda:1", name="NVIDIA H200")}, ("cuda:1", "NVIDIA H200", None)),
        (
            {"problem": "it takes no jobs that ask for a GPU"},
            ("cpu", None, "it takes no jobs that ask for a GPU"),
        ),
    ],
)
def test_a_child_says_what_it_trains_on(
    options: dict[str, Any], about: tuple[str | None, ...], make: Makes, small_workshop: Workshop
) -> None:
    make(**options)
    found = seen(small_workshop)
    assert (found.device, found.device_name, found.problem) == about


def test_one_that_listens_to_nothing_else_claims_nothing(make: Makes, small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    make(problem="no GPU").work(at_most=5)
    assert small_workshop.look(job).status == "queued"
    assert seen(small_workshop).queues == []


def test_a_child_without_its_gpu_makes_room_after_a_while(
    make: Makes, small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_workshop.add_job()
    make("cpu", problem="no GPU").work(at_most=1)
    assert small_workshop.look(job).status == "succeeded"
    other = small_workshop.add_job()
    monkeypatch.setattr(child, "LOOK_AGAIN_SECONDS", -1.0)
    unfit = make("cpu", problem="no GPU")
    with pytest.raises(UnfitError, match="look for one"):
        unfit.work(at_most=1)
    unfit.work(at_most=1)
    assert small_workshop.look(other).status == "queued"


def test_a_child_whose_gpu_is_gone_claims_nothing_more(make: Makes, small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    broken = make("cpu", gpu=Answers(LOST))
    with pytest.raises(DeviceLostError):
        broken.work(at_most=5)
    broken.work(at_most=5)
    assert small_workshop.look(job).attempt == 0
    make("cpu", gpu=Answers()).work(at_most=5)
    assert small_workshop.look(job).status == "succeeded"


def test_a_child_that_is_unfit_signs_off_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Any] = []

    def work(queues: tuple[str, ...], *, at_most: int) -> None:
        raise UnfitError("the test says so")

    monkeypatch.setattr(child, "work", work)
    monkeypatch.setattr(child, "stop", lambda: left.append("signed off"))
    monkeypatch.setattr(os, "_exit", left.append)
    tasks.work()
    assert left == ["signed off", EX_RECYCLE]
