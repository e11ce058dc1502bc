"""A database that goes away while a job runs: short outages cost nothing, long ones cost the lease.

It stays away for so many tries, not for so long. That a driver's words for an outage are understood is shown
elsewhere, on both databases.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from models.stacks import Measured
from store.errors import DatabaseFull, DatabaseUnavailable
from store.session import Connection, Database
from tests.worker.building import Workshop, at_epoch
from tests.worker.clocks import Clock
from worker import conclusions, curves


@dataclass
class Outage:
    """While it lasts, nobody can reach the database."""

    left: float = 0
    """So many more tries fail."""
    tries: int = 0
    error: type[DatabaseUnavailable] = DatabaseUnavailable
    then: Callable[[], object] = lambda: None
    """What happens with the last of them."""

    def begin(self, tries: float) -> None:
        self.left = tries

    def meet(self) -> None:
        if self.left <= 0:
            return
        self.left -= 1
        self.tries += 1
        if self.left <= 0:
            self.then()
        raise self.error


class Flaky(Database):
    """A real database that cannot be reached for a while."""

    outage: Outage

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self.outage.meet()
        with super().reading() as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.outage.meet()
        with super().writing() as tx:
            yield tx


@pytest.fixture
def outage(small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """Of the workshop's database; nobody waits long between two tries."""
    monkeypatch.setattr(conclusions, "RETRY_SECONDS", 0.001)
    flaky = copy.copy(small_workshop.database)
    flaky.__class__ = Flaky
    assert isinstance(flaky, Flaky)
    flaky.outage = Outage()
    small_workshop.database = flaky
    return flaky.outage


def test_a_short_outage_in_mid_training_loses_no_epoch(
    small_workshop: Workshop, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    training = {"max_epochs": 20}
    job = small_workshop.add_job(training=training, network={"hidden": [4]}, regularization=None)
    small_workshop.run(stack=at_epoch(5, lambda: outage.begin(6)))
    assert outage.tries == 6
    assert small_workshop.look(job).status == "succeeded"
    assert small_workshop.curve(job).epochs == list(range(1, 21))


@pytest.mark.parametrize("error", [DatabaseUnavailable, DatabaseFull])
def test_a_short_outage_at_the_end_delays_the_end(
    small_workshop: Workshop, outage: Outage, error: type[DatabaseUnavailable]
) -> None:
    """A disk that is full may have room again before the lease is over."""
    outage.error = error
    job = small_workshop.add_job()
    small_workshop.run(stack=at_epoch(6, lambda: outage.begin(4)))
    assert outage.tries == 4
    assert small_workshop.look(job).status == "succeeded"
    assert small_workshop.curve(job).epochs == list(range(1, 7))


@pytest.mark.parametrize("at", ["in mid-training", "at the end"])
def test_an_outage_longer_than_the_lease_stops_the_job(
    small_workshop: Workshop, outage: Outage, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """After three tries it is a minute later, and the lease was half as long."""
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    clock = Clock.of(monkeypatch, "worker.heartbeat", "worker.curves", "worker.runner")
    training = {"max_epochs": 6 if at == "at the end" else 100_000}
    job = small_workshop.add_job(training=training, network={"hidden": [4]}, regularization=None)
    trained: list[int] = []

    def pass_a_minute() -> None:
        clock.now += 60
        outage.begin(float("inf"))

    class Counted(at_epoch(6, lambda: outage.begin(3))):  # type: ignore[misc]
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                trained.extend(epoch.number for _, epoch in measured)
                yield measured

    outage.then = pass_a_minute
    small_workshop.run(stack=Counted)
    outage.begin(0)
    left = small_workshop.look(job)
    assert (left.status, left.stop_reason, left.epoch) == ("running", None, 5)
    assert max(trained) < 20


def test_an_outage_before_the_table_can_be_read(small_workshop: Workshop, outage: Outage) -> None:
    outage.begin(5)
    with pytest.raises(DatabaseUnavailable):
        small_workshop.run()
