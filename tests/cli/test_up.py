"""`ridgeline up` for real: one address, one Ctrl-C; nobody stays dead and nothing stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import main as program
from cli import up as module
from cli.client import Client, RidgelineError, UnreachableError
from cli.occupancy import occupant
from cli.processes import ROOMS, Child, StartError, room
from cli.supervisor import Supervisor
from store.settings import Settings

pytestmark = pytest.mark.timeout(180)
PARTS = {"api", "worker", "reconciler", "broker"}


@dataclass
class Running:
    """A `ridgeline up`, its folder and what it prints."""

    process: subprocess.Popen[bytes]
    folder: Path
    output: Path

    def said(self) -> str:
        return self.output.read_text()

    @property
    def address(self) -> str | None:
        found = occupant(self.folder)
        return found.address if found else None

    def parts(self) -> dict[str, int]:
        """Its children by name."""
        return {name_of(pid): pid for pid in children(self.process.pid)}

    def everything(self) -> list[int]:
        """Its children and what they forked."""
        return [pid for child in children(self.process.pid) for pid in (child, *children(child))]


def children(pid: int) -> list[int]:
    """As the kernel knows them."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def name_of(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return command[2].rpartition(".")[2] if "-m" in command else "broker"


def eventually(condition: Callable[[], object], excuse: Callable[[], str], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, excuse()
        time.sleep(0.05)


@contextmanager
def ridgeline_up(prepared: Path, folder: Path) -> Iterator[Running]:
    """On a folder that has been used before."""
    shutil.copytree(prepared, folder)
    output = folder.parent / "said"
    environment = Settings(data_dir=folder, port=0, concurrency=1).environment()
    with output.open("wb") as file:
        command = [*room("cli"), "up"]
        process = subprocess.Popen(command, cwd=ROOMS, env=environment, stdout=file, stderr=file)
    running = Running(process, folder, output)
    try:
        yield running
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def running(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ridgeline_up(prepared_folder, tmp_path_factory.mktemp("up with a space") / "da ta") as found:
        eventually(lambda: "ready " in found.said(), found.said)
        yield found


def test_it_prints_its_address_and_answers_there(running: Running) -> None:
    assert f"api       {running.address}" in running.said()
    assert running.address is not None
    with Client(running.address) as client:
        assert client.get("/readyz")["status"] == "ready"


def test_everything_it_started_is_its_child(running: Running) -> None:
    assert set(running.parts()) == PARTS


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run `ridgeline up …` on a data folder, here since nothing is to be started; its exit code and words."""

    def up(folder: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("RIDGELINE_DATA_DIR", str(folder))
        monkeypatch.setattr(sys, "argv", ["ridgeline", "up", *arguments])
        monkeypatch.setattr(Child, "__init__", lambda *_: pytest.fail("something was started"))
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return up


def test_a_second_one_on_the_same_folder_is_refused(
    running: Running, up: Callable[..., tuple[int, str]]
) -> None:
    code, said = up(running.folder, "--port", "0")
    assert code == 1
    assert f"Ridgeline already runs on {running.folder} at {running.address}" in " ".join(said.split("\n"))


def test_a_taken_port_is_told_before_anything_starts(
    tmp_path: Path, up: Callable[..., tuple[int, str]]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = up(tmp_path / "data", "--port", str(port))
    assert told == (1, f"✗ port {port} is in use; choose another with --port, or --port 0 for a free one\n")


def test_a_followed_job_outlives_the_api(running: Running) -> None:
    assert running.address is not None
    numbers: list[int] = []
    with Client(running.address) as client:
        spec = {"dataset": "digits", "regularization": {}, "training": {"max_epochs": 40, "batch_size": 32}}
        job = client.post("/v1/jobs", spec)
        for event in client.events(job["id"]):
            numbers.append(event.number)
            if event.kind == "epoch" and event.data["epoch"] == 3:
                os.kill(running.parts()["api"], signal.SIGKILL)
        assert numbers == list(range(1, len(numbers) + 1)), "nothing lost, nothing repeated"
        eventually(lambda: is_ready(client), running.said)  # It may have ended before the API was back.
        assert client.get(f"/v1/jobs/{job['id']}")["status"] == "succeeded"
    assert "api ended (SIGKILL); starting it again in 0.5 s" in running.said()


def is_ready(client: Client) -> bool:
    try:
        return bool(client.get("/readyz"))
    except RidgelineError:
        return False


def test_parts_that_are_killed_come_back(running: Running) -> None:
    """All at once but for the API, whose turn has come above."""
    killed = {name: pid for name, pid in running.parts().items() if name != "api"}
    assert killed.keys() == PARTS - {"api"}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    def are_back() -> bool:
        parts = running.parts()
        return all(parts.get(name, pid) != pid for name, pid in killed.items())

    eventually(are_back, running.said)
    for name in killed:
        assert f"{name} ended (SIGKILL); starting it again in 0.5 s" in running.said()
    assert running.address is not None
    with Client(running.address) as client:
        eventually(lambda: is_ready(client), running.said)


def test_one_ctrl_c_stops_everything_within_seconds(running: Running) -> None:
    eventually(
        lambda: len(running.everything()) > len(PARTS), lambda: "the worker forks no process that trains"
    )
    everything = running.everything()
    began = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    assert time.monotonic() - began < 15
    assert alive(everything) == []
    assert occupant(running.folder) is None
    with Client("http://127.0.0.1:1") as client, pytest.raises(UnreachableError):
        client.get("/healthz")


def test_nothing_outlives_one_that_is_killed(prepared_folder: Path, tmp_path: Path) -> None:
    """As soon as all are there, the process that trains too."""
    with ridgeline_up(prepared_folder, tmp_path / "data") as killed:
        eventually(lambda: killed.parts().keys() == PARTS, killed.said)
        eventually(lambda: len(killed.everything()) > len(PARTS), killed.said)
        everything = killed.everything()
        killed.process.kill()
        killed.process.wait()
        eventually(lambda: not alive(everything), lambda: f"{alive(everything)} live on", 40)


def test_where_no_broker_works_a_folder_carries_the_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.broker.server", lambda: None)
    told: list[str] = []
    with Supervisor(lambda _: None) as supervisor:
        settings = module.start_broker(
            supervisor,
            Settings(data_dir=tmp_path, broker_url=""),
            lambda what, about: told.append(f"{what}: {about}"),
        )
    assert settings.broker == f"filesystem://{tmp_path}/broker"
    assert {path.name for path in (tmp_path / "broker").iterdir()} == {"messages", "queues"}
    assert told == [
        "broker: none of valkey-server and redis-server works here: a folder carries the messages"
    ]


def test_a_host_that_is_not_here_is_told() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0"):
        module.with_free_port(Settings(host="192.0.2.1", port=0))


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:8"), ("0.0.0.0", "http://127.0.0.1:8"), ("::", "http://[::1]:8")],
)
def test_the_address_is_one_that_this_machine_reaches(host: str, address: str) -> None:
    assert module.address_of(Settings(host=host, port=8)) == address


def test_passwords_are_not_shown() -> None:
    assert module.without_password("postgresql://u:secret@h/d") == "postgresql://u:…@h/d"
    assert module.without_password("sqlite:///a b.db") == "sqlite:///a b.db"
