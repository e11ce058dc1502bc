"""A key whose first request is being answered: held by the living, given up by the dead and the paused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api import in_flight
from api.app import create_app
from api.deps import Server
from store import idempotency, tables
from store.columns import now
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests.api.acting import problem
from tests.api.conftest import HOME
from tests.api.test_process import address_of

HEADERS = {"Idempotency-Key": "killed"}
ROWS = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (row, row * 7 % 1009, row % 3) for row in range(2000))
"""The child that reads it takes half a second to start: time to do something to whoever waits for it."""


def _upload(client: httpx2.Client | TestClient) -> httpx2.Response:
    return client.post("/v1/datasets", files={"file": ("a.csv", ROWS)}, headers=HEADERS)


def _until_in_flight(database: Database) -> None:
    deadline = time.monotonic() + 30
    open_keys = sa.select(sa.func.count()).where(tables.idempotency.c.status.is_(None))
    while time.monotonic() < deadline:
        with database.reading() as tx:
            if tx.execute(open_keys).scalar():
                return
        time.sleep(0.01)
    raise AssertionError("no upload is in flight")


if sys.platform == "linux":  # Elsewhere nobody sees of another process whether it lives.

    def test_a_killed_servers_upload_is_taken_over_at_once(prepared_folder: Path, tmp_path: Path) -> None:
        """It took 300 seconds of 409 before, each asking to be repeated after one."""
        shutil.copytree(prepared_folder, tmp_path / "data")
        environment = {**os.environ, "RIDGELINE_DATA_DIR": str(tmp_path / "data"), "RIDGELINE_PORT": "0"}
        database = Database(f"sqlite:///{tmp_path}/data/ridgeline.db")
        with (tmp_path / "log").open("wb") as log:
            child = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=log)
        address = address_of(child, tmp_path / "log")
        with httpx2.Client(base_url=address, timeout=30) as client, ThreadPoolExecutor(1) as pool:
            upload = pool.submit(_upload, client)
            _until_in_flight(database)
            child.send_signal(signal.SIGKILL)  # not yet buried: a zombie is dead as well
            with pytest.raises(httpx2.HTTPError):
                upload.result()
        with TestClient(create_app(Settings(data_dir=tmp_path / "data")), HOME) as other:
            answer = _upload(other)
            assert answer.status_code == 201, answer.text
            assert _upload(other).headers["idempotent-replayed"] == "true"
        child.wait()
        with database.reading() as tx:
            mine = sa.select(sa.func.count()).where(tables.datasets.c.filename == "a.csv")
            assert tx.execute(mine).scalar_one() == 1
        database.close()


def test_who_was_paused_too_long_creates_nothing(client: TestClient, server: Server) -> None:
    """As if the process had slept while it read the file: its place has run out, and another has taken it."""
    database = server.database.of(DEFAULT_PROJECT)
    files_before = {one.key for one in server.files.list("datasets")}
    describe = server.describer.file

    async def taken_over_meanwhile(*arguments: object, **options: object) -> object:
        found = await describe(*arguments, **options)  # type: ignore[arg-type]
        with database.writing() as tx:
            key = tables.idempotency.c.key == "paused"
            tx.execute(tables.idempotency.update().where(key).values(held_until=now(-1)))
            (mine,) = tx.execute(sa.select(tables.idempotency).where(key))
            assert mine.holder == in_flight.this_process()
            heir = idempotency.begin(tx, "paused", mine.fingerprint)
            assert isinstance(heir, idempotency.Ticket)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(server.describer), "file", lambda _, *a, **o: taken_over_meanwhile(*a, **o))
        sent = client.post(
            "/v1/datasets", files={"file": ("slept.csv", ROWS)}, headers={"Idempotency-Key": "paused"}
        )
    document = problem(sent, 409)
    assert document["type"].endswith("idempotency-in-flight")
    with database.reading() as tx:
        slept = sa.select(tables.datasets.c.id).where(tables.datasets.c.name == "slept.csv")
        assert tx.execute(slept).all() == []
        (left,) = tx.execute(sa.select(tables.idempotency).where(tables.idempotency.c.key == "paused"))
        assert left.status is None
    assert {one.key for one in server.files.list("datasets")} == files_before


def test_what_is_being_answered_is_renewed(server: Server, client: TestClient) -> None:
    database = server.database.of(DEFAULT_PROJECT)
    with database.writing() as tx:
        ticket = idempotency.begin(tx, "renewed", "f", hold_seconds=0.5)
    assert isinstance(ticket, idempotency.Ticket)
    held = sa.select(tables.idempotency.c.held_until, now().label("clock")).where(
        tables.idempotency.c.key == "renewed"
    )

    def left() -> float:
        with database.reading() as tx:
            row = tx.execute(held).one()
        return float((row.held_until - row.clock).total_seconds())

    with server.in_flight.holding(ticket):
        server.in_flight.renew()
        assert left() > 0.8 * idempotency.HOLD_SECONDS
    with database.writing() as tx:
        idempotency.renew(tx, [ticket], 0.5)
    server.in_flight.renew()
    assert left() < 1
    assert in_flight.RENEW_SECONDS <= idempotency.HOLD_SECONDS / 4


def test_whether_a_process_is_dead_is_known_of_ones_own_kind_only() -> None:
    me = in_flight.this_process()
    space, pid, started, _ = me.split("/")
    assert not in_flight.is_dead(me)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not in_flight.is_dead(f"another-boot:pid:[1]/{child.pid}/1/x")
    assert not in_flight.is_dead(f"/{child.pid}/1/x")
    if sys.platform == "linux":
        began = in_flight._started(child.pid)
        assert not in_flight.is_dead(f"{space}/{child.pid}/{began}/x")
        assert in_flight.is_dead(f"{space}/{pid}/{int(started) - 1}/x")  # this id was another's before
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert in_flight.is_dead(f"{space}/{child.pid}/{began}/x")  # killed, and nobody has looked
    child.kill()
    child.communicate()
    assert in_flight.is_dead(f"{space}/{child.pid}/1/x") == bool(space)
