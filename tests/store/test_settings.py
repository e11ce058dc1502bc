"""Settings: from the environment, with defaults that work anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from store.files import Files
from store.session import Database
from store.settings import LONGEST_SOCKET_PATH, Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RIDGELINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_lie_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings()
    assert settings.data_dir == tmp_path / "ridgeline-data"
    assert settings.database == f"sqlite:///{tmp_path}/ridgeline-data/ridgeline.db"
    assert settings.files == f"file://{tmp_path}/ridgeline-data/files"
    assert settings.broker.startswith("redis+socket:///")
    assert settings.embedded_broker
    assert (settings.lease_seconds, settings.reconcile_seconds, settings.max_attempts) == (30, 5, 3)
    assert settings.concurrency is None
    assert 1 <= settings.processes() <= 8
    assert [settings.processes(gpus) for gpus in (1, 4)] == [2, 8], "one trains while the other prepares"


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "DATA_DIR": "~/elsewhere",
        "DATABASE_URL": "postgresql://u:p@db/ridgeline",
        "BROKER_URL": "redis://broker:6379/0",
        "FILES_URL": "s3://bucket/prefix",
        "PORT": "9000",
        "LEASE_SECONDS": "12.5",
        "CONCURRENCY": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"RIDGELINE_{name}", value)
    settings = Settings()
    assert settings.data_dir == Path.home() / "elsewhere"
    assert settings.database == "postgresql://u:p@db/ridgeline"
    assert settings.broker == "redis://broker:6379/0"
    assert not settings.embedded_broker
    assert settings.files == "s3://bucket/prefix"
    assert (settings.port, settings.lease_seconds) == (9000, 12.5)
    assert settings.concurrency is None, "an empty variable is one that is not set"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("LEASE_SECONDS", "0"),
        ("MAX_ATTEMPTS", "none"),
        ("CONCURRENCY", "0"),
        ("AUTH", "on"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"RIDGELINE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_children_get_the_very_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDGELINE_THREADS", "3")
    settings = Settings(port=1234, data_dir=Path("here"), files_url="s3://bucket")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert Settings() == settings


def test_a_socket_never_gets_too_long_a_path(tmp_path: Path) -> None:
    near = Settings(data_dir=tmp_path / "d")
    far = Settings(data_dir=tmp_path / ("deep/" * 30))
    other = Settings(data_dir=tmp_path / ("deeper/" * 30))
    assert near.broker_socket == tmp_path / "d" / "broker.sock"
    assert len(os.fsencode(far.broker_socket)) <= LONGEST_SOCKET_PATH
    assert far.broker_socket == Settings(data_dir=tmp_path / ("deep/" * 30)).broker_socket
    assert far.broker_socket != other.broker_socket


def test_a_folder_with_spaces_breaks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "my data, 100 % of it"
    folder.mkdir()
    settings = Settings(data_dir=folder)
    with Database(settings.database) as database:
        database.ping()
    assert (folder / "ridgeline.db").exists()
    (folder / "source").write_bytes(b"x")
    Files(settings.files).put("weights/w", folder / "source")
    assert (folder / "files" / "weights" / "w").exists()
    short = Settings(data_dir=Path("/srv/my data, 100 % of it"))
    assert short.broker == "redis+socket:///srv/my%20data%2C%20100%20%25%20of%20it/broker.sock"


def test_every_setting_says_what_it_is() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []
