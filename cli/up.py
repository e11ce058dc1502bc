"""What `ridgeline up` and `ridgeline worker` start, in which order, and when it counts as ready."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from cli import broker
from cli.client import Client, RidgelineError
from cli.occupancy import Tenancy, occupy
from cli.processes import Program, StartError, room, run_once
from cli.supervisor import Supervisor
from store.settings import Settings

BROKER_SECONDS = 30.0
"""A long append-only file takes a while to load."""
READY_SECONDS = 90.0
"""Loading torch on a busy machine with a cold disk takes the longest."""

Say = Callable[[str, str], None]
"""Told of each part that stands: its name, and what there is to know about it."""


def up(settings: Settings, say: Say) -> None:
    """Run everything in the foreground until a signal comes."""
    if settings.refusal:
        raise StartError(settings.refusal)
    with occupy(settings.data_dir) as tenancy, Supervisor(lambda line: say("", line)) as supervisor:
        began = time.monotonic()
        settings = start_broker(supervisor, with_free_port(settings), say)
        run_once(database_upgrade(settings))
        say("database", without_password(settings.database))
        for name in ("api", "worker", "worker.reconciler"):
            supervisor.start(_ours(name, settings, logged=True))
        _get_ready(supervisor, settings, tenancy, say)
        if not supervisor.asked_to_stop:
            say("ready", f"after {time.monotonic() - began:.1f} s; Ctrl-C stops everything")
        supervisor.run()
        say("stopping", "")


def _get_ready(supervisor: Supervisor, settings: Settings, tenancy: Tenancy, say: Say) -> None:
    """The API takes jobs before the worker has loaded torch, so its address is told first."""
    with Client(address_of(settings)) as client:
        supervisor.wait_until(lambda: _answers(client, "/healthz"), READY_SECONDS, "The API")
        if supervisor.asked_to_stop:
            return
        tenancy.announce(client.server)
        say("api", f"{client.server}  (documentation at {client.server}/docs)")
        if settings.asks_for_keys:
            say("keys", "asked for; `ridgeline keys create --local NAME` makes the first one")
        say("logs", str(settings.data_dir / "logs"))
        supervisor.wait_until(lambda: _answers(client, "/readyz"), READY_SECONDS, "The worker")
        if not supervisor.asked_to_stop:
            say("worker", _of_workers(settings))


def work(settings: Settings, tell: Callable[[str], None]) -> None:
    """Run a worker with its reconciler in the foreground; any number may, on any number of machines."""
    with Supervisor(tell) as supervisor:
        supervisor.start(_ours("worker", settings, logged=False))
        supervisor.start(_ours("worker.reconciler", settings, logged=False))
        supervisor.run()


def database_upgrade(settings: Settings) -> Program:
    """Brings the database's schema up to date, and ends."""
    return Program("database upgrade", room("store.migrate"), settings.environment())


def address_of(settings: Settings) -> str:
    """The URL under which this machine reaches the API."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def without_password(url: str) -> str:
    """A URL that may be shown."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":…@") if parts.password else url


def _of_workers(settings: Settings) -> str:
    if settings.concurrency is None and settings.may_find_a_gpu:
        processes = "2 processes a GPU"  # how many torch finds would take seconds to ask
    else:
        processes = "1 process" if settings.processes() == 1 else f"{settings.processes()} processes"
    return f"{processes}, {settings.threads} thread{'s' * (settings.threads > 1)} each"


def _ours(name: str, settings: Settings, *, logged: bool) -> Program:
    noun = name.rpartition(".")[2]
    return Program(
        noun,
        room(name),
        settings.environment(),
        log=settings.data_dir / "logs" / f"{noun}.log" if logged else None,
        grace_seconds=settings.drain_seconds,
    )


def with_free_port(settings: Settings) -> Settings:
    """See that the port is free before anything starts; 0 becomes one that is."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartError(_why_not(settings, error)) from error
        return settings.model_copy(update={"port": probe.getsockname()[1]})


def _why_not(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} is in use; choose another with --port, or --port 0 for a free one"
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"


def start_broker(supervisor: Supervisor, settings: Settings, say: Say) -> Settings:
    """The embedded broker, unless a broker was named; where no binary works, a folder of messages."""
    if not settings.embedded_broker:
        say("broker", without_password(settings.broker))
        _make_folders(settings)
        return settings
    binary = broker.server()
    if binary is None:
        say("broker", "none of valkey-server and redis-server works here: a folder carries the messages")
        settings = settings.model_copy(update={"broker_url": f"filesystem://{settings.data_dir / 'broker'}"})
        _make_folders(settings)
        return settings
    supervisor.start(broker.program(binary, settings, log=settings.data_dir / "logs" / "broker.log"))
    supervisor.wait_until(lambda: broker.answers(settings.broker_socket), BROKER_SECONDS, "The broker")
    say("broker", f"{binary.name} on a private socket")
    return settings


def _make_folders(settings: Settings) -> None:
    """Where the broker is a folder of messages."""
    for path in settings.broker_options.values():
        if isinstance(path, str):
            Path(path).mkdir(parents=True, exist_ok=True)


def _answers(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except RidgelineError:
        return False
    return True
