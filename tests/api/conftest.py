"""A real application on a real SQLite with the bundled datasets, for every module a fresh copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import describing
from api.app import create_app
from api.deps import Server
from store import logs
from store.settings import Settings
from tests import forking
from tests.api.acting import Worker

HOME = "http://localhost"


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Log as a server does, in lines, and only what matters."""
    logs.configure("error")


@pytest.fixture(autouse=True)
def quick_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uploads need not wait until a process has loaded what it reads with."""
    monkeypatch.setattr(describing, "_child", forking.reading_child)


@pytest.fixture
def real_children(quick_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read as they are in earnest, where it matters how the process begins."""
    monkeypatch.setattr(describing, "_child", forking.start_anew)


@pytest.fixture(scope="module")
def settings(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The defaults, on a copy of the prepared folder."""
    folder = tmp_path_factory.mktemp("server") / "data"
    shutil.copytree(prepared_folder, folder)
    return Settings(data_dir=folder)


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of the running application; what the application does not foresee would be raised here."""
    with TestClient(app, HOME) as client:
        yield client


@pytest.fixture(scope="module")
def server(app: FastAPI) -> Server:
    found: Server = app.state.server
    return found


@pytest.fixture(scope="module")
def worker(server: Server) -> Worker:
    """Takes jobs and tells what a real one would."""
    return Worker(server.database.of("default"))
