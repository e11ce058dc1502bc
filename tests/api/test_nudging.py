"""A nudge tells of a job that is there: it goes out when the job is committed, and not before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from api.deps import Server
from store import jobs
from store.session import Database
from tests.api.acting import submit


class Listener:
    """Stands where nudges go, and looks at the table as a worker would, over a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seen: list[int] = []

    def nudge(self, queue: str) -> None:
        with self._database.reading() as tx:
            waiting = jobs.waiting(tx).get(queue)
        self.seen.append(waiting.jobs if waiting else 0)


@pytest.fixture
def listener(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with Database(server.settings.database) as database:
        standing_in = Listener(database)
        monkeypatch.setattr(server.nudges, "nudge", standing_in.nudge)
        yield standing_in


def test_a_nudge_goes_out_after_the_commit(client: TestClient, listener: Listener) -> None:
    for _ in range(3):
        submit(client)
    assert listener.seen == [1, 2, 3]
