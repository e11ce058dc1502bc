"""A database that goes away while a job runs: short outages cost nothing, long ones cost the lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from store.errors import DatabaseFull, DatabaseUnavailable
from store.session import Connection, Database
from store.tables import DEFAULT_PROJECT
from tests.worker.building import Workshop, at_epoch, slow


class Flaky(Database):
    """A real database that cannot be reached for a while."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.back_at = [0.0]
        """Shared by the views of all projects."""
        self.error: type[DatabaseUnavailable] = DatabaseUnavailable

    @property
    def away_until(self) -> float:
        return self.back_at[0]

    def leave(self, seconds: float) -> None:
        self.back_at[0] = time.monotonic() + seconds

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self._fail_if_away()
        with super().reading() as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self._fail_if_away()
        with super().writing() as tx:
            yield tx

    def _fail_if_away(self) -> None:
        if time.monotonic() < self.away_until:
            raise self.error


@pytest.fixture
def flaky(workshop: Workshop) -> Iterator[Flaky]:
    with Flaky(workshop.database.url.render_as_string(hide_password=False)) as database:
        workshop.database = database.of(DEFAULT_PROJECT)
        yield database
        workshop.stop()


def test_a_short_outage_in_mid_training_loses_no_epoch(workshop: Workshop, flaky: Flaky) -> None:
    job = workshop.add_job(training={"max_epochs": 20}, network={"hidden": [4]}, regularization=None)

    class Away(slow(0.05, pulse_seconds=0.05)):  # type: ignore[misc]
        def pulses(self):  # type: ignore[no-untyped-def]
            for measured in super().pulses():
                if [epoch.number for _, epoch in measured] == [5]:
                    flaky.leave(0.6)
                yield measured

    workshop.run(stack=Away)
    assert workshop.look(job).status == "succeeded"
    assert workshop.curve(job).epochs == list(range(1, 21))


@pytest.mark.parametrize("error", [DatabaseUnavailable, DatabaseFull])
def test_a_short_outage_at_the_end_delays_the_end(
    workshop: Workshop, flaky: Flaky, error: type[DatabaseUnavailable]
) -> None:
    """A disk that is full may have room again before the lease is over."""
    flaky.error = error
    job = workshop.add_job()
    workshop.run(stack=at_epoch(6, lambda: flaky.leave(0.6)))
    assert workshop.look(job).status == "succeeded"
    assert workshop.curve(job).epochs == list(range(1, 7))


def test_an_outage_longer_than_the_lease_stops_the_job(workshop: Workshop, flaky: Flaky) -> None:
    job = workshop.add_job(training={"max_epochs": 100_000}, network={"hidden": [4]}, regularization=None)
    workshop.run(stack=at_epoch(5, lambda: flaky.leave(1.8)), lease_seconds=1)
    assert time.monotonic() < flaky.away_until
    time.sleep(max(0.0, flaky.away_until - time.monotonic()))
    left = workshop.look(job)
    assert left.status == "running"
    assert left.stop_reason is None


def test_an_outage_before_the_table_can_be_read(workshop: Workshop, flaky: Flaky) -> None:
    flaky.leave(0.2)
    with pytest.raises(DatabaseUnavailable):
        workshop.run()
