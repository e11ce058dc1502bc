"""Every setting, from the environment with the prefix `RIDGELINE_`; each docstring is its documentation."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from store import destinations, durations, machine

# A unix socket's path must fit into `sockaddr_un`: 108 bytes on Linux, 104 on macOS, with the closing NUL.
LONGEST_SOCKET_PATH = 103

MOST_PROCESSES = 8
"""Workers start no more by themselves on a machine without a GPU."""
PROCESSES_A_GPU = 2
"""One trains while the other reads, prepares and writes."""

_HARMLESS = re.compile(
    r"PATH|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|DYLD_[A-Z_]+|SYSTEMROOT|VIRTUAL_ENV"
    r"|PYTHON(PATH|HOME|WARNINGS|UTF8|DONTWRITEBYTECODE)|(OMP|OPENBLAS|MKL|POLARS)_[A-Z_]+"
)

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]


def _variable(name: str) -> str:
    return f"RIDGELINE_{name.upper()}"


def _as_text(value: object) -> str:
    """As the environment has it: what is empty there is not set."""
    return "" if value is None else str(value)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def is_loopback(host: str) -> bool:
    """Whether a host name, or an address, is this machine talking to itself."""
    name = host.strip().lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _durations(text: str) -> str:
    durations.parse(text)
    return text


def _hosts(text: str) -> str:
    destinations.private_hosts(text)
    return text


def _words(text: str) -> list[str]:
    """`a, b` → both."""
    return [word.strip() for word in text.split(",") if word.strip()]


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


def _named_origins(origins: str) -> str:
    """Each by its name: whoever writes `*` would let in every page there is."""
    for origin in _words(origins):
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin, such as https://dashboard.example.com; `*` is not taken"
            )
    return origins


class Settings(BaseSettings):
    """What an installation may choose."""

    model_config = SettingsConfigDict(
        env_prefix="RIDGELINE_", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=Path("ridgeline-data"), validate_default=True
    )
    """Folder for everything that no other setting puts elsewhere: database, broker, files."""
    database_url: str = ""
    """`postgresql://user:password@host/name` or `sqlite:///path`; default: SQLite in the data folder."""
    broker_url: str = ""
    """`redis://host:6379/0`; default: an embedded broker on a private socket, started by `ridgeline up`."""
    files_url: str = ""
    """Where datasets and weights lie: `s3://bucket/prefix`, `gs://…`, `az://…`; default: the data folder."""

    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port the API listens on; 0 takes a free one."""
    auth: Literal["auto", "off", "keys"] = "auto"
    """Who may call: `keys` asks for API keys, `off` serves loopback without; `auto` is what fits `HOST`."""
    auth_failures_per_minute: Positive = 20
    """Wrong keys that one address may send in a minute before it is asked to wait."""
    cors_origins: Annotated[str, AfterValidator(_named_origins)] = ""
    """Web pages that may call from another origin, comma-separated: `https://dashboard.example.com`."""
    quota_open_jobs: NotNegative = 20_000
    """Jobs that a project may have queued, running or paused; 0: no limit. A project may have its own."""
    quota_stored_bytes: NotNegative = 100 * 1024**3
    """Bytes that a project's files and rows may take; 0: no limit. A project may have its own."""
    quota_requests_per_minute: NotNegative = 60_000
    """Requests that a project may send in a minute; 0: no limit. A project may have its own."""
    limits_url: str = "memory://"
    """Where requests are counted: in each API process, or in `redis://host:6379/1` for several together."""
    statement_seconds: Seconds = 15
    """How long the API lets one statement take in the database; one that takes longer is stopped (503)."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much API and workers log."""

    concurrency: Positive | None = None
    """Worker processes on this machine; default: the processors, at most 8; where `gpu` is taken 2 a GPU."""
    threads: Positive = 1
    """Threads of each training process; processes × threads should not exceed the processors."""
    stack: Positive = 64
    """Most jobs that a worker process trains together, of those that may share a stack; 1: each alone."""
    queues: str = "auto"
    """Queues a worker takes, comma-separated; `auto` is `cpu`, and `gpu,cpu` where there is a GPU."""

    lease_seconds: Annotated[float, Field(ge=1)] = 30
    """A running job whose worker has not been heard of for this long is given to another."""
    reconcile_seconds: Seconds = 5
    """How often queued jobs are nudged and lost ones looked for."""
    backoff_seconds: Annotated[float, Field(ge=0)] = 10
    """A lost job waits at most this long before its next attempt; the first time a quarter of it."""
    max_attempts: Positive = 3
    """A job that lost this many workers has failed."""
    checkpoint_seconds: Seconds = 30
    """How old a running job's checkpoint gets; a job that loses its worker goes on from there."""
    checkpoint_epochs: Positive = 50
    """A checkpoint also comes after so many epochs, though never more often than once a second."""
    progress_seconds: Seconds = 600
    """A job that has finished no batch for this long hangs: its process is ended, the attempt lost."""
    drain_seconds: Seconds = 30
    """How long processes may take to stop when asked to."""
    idempotency_hours: Seconds = 24
    """How long the answer to an `Idempotency-Key` is kept."""

    max_body_bytes: Positive = 1024**2
    """Largest body of a request that is not an upload."""
    max_predict_bytes: Positive = 8 * 1024**2
    """Largest body of a request for predictions."""
    max_predict_rows: Positive = 10_000
    """Most rows of a request for predictions."""
    max_predict_cells: Positive = 1_000_000
    """Most rows times columns, or classes where they are more, of a request for predictions."""
    ready_networks: Positive = 64
    """Networks that each API process keeps ready for predictions; those asked least lately go first."""
    ready_bytes: Positive = 512 * 1024**2
    """Memory that those may take together, as estimated from their files."""
    max_upload_bytes: Positive = 1024**3
    """Largest dataset file."""
    max_rows: Positive = 5_000_000
    """Most rows of a dataset."""
    max_columns: Positive = 10_000
    """Most columns of a dataset."""
    max_cells: Positive = 200_000_000
    """Most rows times columns of a dataset."""
    describe_seconds: Positive = 120
    """Processor time the process that reads an upload may take."""
    describe_bytes: Positive = 8 * 1024**3
    """Memory the process that reads an upload may take."""
    max_parameters: Positive = 50_000_000
    """Most parameters of a network."""
    max_epochs: Positive = 100_000
    """Most epochs of a job."""
    max_steps: Positive = 100_000_000
    """Most optimizer steps of a job."""
    reserve_bytes: NotNegative = 64 * 1024**2
    """Disk space that is left alone: an upload that would take it is refused (507)."""
    max_memory_bytes: Positive = 8 * 1024**3
    """Most memory a job may be estimated to need, or take: one that takes more ends as `out_of_memory`."""
    max_device_bytes: Positive = 8 * 1024**3
    """Most GPU memory a `cuda` job may be estimated to need: what a process has of the smallest GPU."""
    max_operations: Annotated[float, Field(ge=1)] = 1e17
    """Most floating-point operations a job may be estimated to need."""
    max_points: Positive = 10_000
    """Most points of a curve that one answer carries."""

    webhook_seconds: Seconds = 15
    """How long the receiver of a webhook may take to answer."""
    webhook_retries: Annotated[str, AfterValidator(_durations)] = "5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h"
    """Pauses before a failed webhook is sent again; after the last it is dead, until it is redelivered."""
    webhook_private_hosts: Annotated[str, AfterValidator(_hosts)] = ""
    """Hosts that webhooks may reach although they are private, and over plain http; comma-separated."""
    otel_endpoint: str = ""
    """Where traces go (OpenTelemetry, OTLP over HTTP): `http://collector:4318`; default: nowhere."""

    @property
    def asks_for_keys(self) -> bool:
        """Whether the API answers only those who send a key."""
        return self.auth == "keys" or (self.auth == "auto" and not is_loopback(self.host))

    @property
    def refusal(self) -> str | None:
        """Why no API is started with these settings: a sentence for whoever tried, or None."""
        if self.auth != "off" or is_loopback(self.host):
            return None
        return (
            f"refusing to listen on {self.host} without API keys, where other machines could use everything: "
            "leave RIDGELINE_AUTH at `auto` (or set `keys`), or listen on 127.0.0.1"
        )

    @property
    def origins(self) -> list[str]:
        """The web pages that may call from another origin."""
        return _words(self.cors_origins)

    def processes(self, gpus: int = 0) -> int:
        """How many worker processes there are to be beside so many GPUs that they use."""
        if self.concurrency:
            return self.concurrency
        return PROCESSES_A_GPU * gpus or min(machine.processors(), MOST_PROCESSES)

    @property
    def may_find_a_gpu(self) -> bool:
        """Whether a worker would look for a GPU, and a driver is there."""
        return self.queues.strip() != "cpu" and machine.has_gpu_driver()

    def environment(self) -> dict[str, str]:
        """The environment for a child process that is to have these very settings."""
        return {**os.environ, **{_variable(name): _as_text(value) for name, value in self}}

    @staticmethod
    def hand_down(**settings: object) -> None:
        """Have the processes that this one will start take these settings for their own."""
        os.environ.update({_variable(name): _as_text(value) for name, value in settings.items()})

    @staticmethod
    def suggest(variable: str, value: str, *, unless: Iterable[str] = ()) -> None:
        """Set a library's variable for the processes to come, unless it is set, or one of these is."""
        if not any(os.environ.get(name) for name in (variable, *unless)):
            os.environ[variable] = value

    @property
    def webhook_pauses(self) -> tuple[float, ...]:
        """Seconds before each further try of a webhook."""
        return durations.parse(self.webhook_retries)

    @property
    def private_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may reach whatever they are."""
        return destinations.private_hosts(self.webhook_private_hosts)

    @staticmethod
    def bare_environment() -> dict[str, str]:
        """The environment for a child that reads what strangers sent: nothing in it is secret.

        What is let through is named, so that tomorrow's secret stays out as well.
        """
        return {name: value for name, value in os.environ.items() if _HARMLESS.fullmatch(name)}

    @property
    def database(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ridgeline.db'}"

    @property
    def files(self) -> str:
        """The file store's URL, with the default filled in."""
        return self.files_url or f"file://{quote(str(self.data_dir / 'files'))}"

    @property
    def broker(self) -> str:
        """The broker's URL, with the default filled in."""
        return self.broker_url or f"redis+socket://{quote(str(self.broker_socket))}"

    @property
    def embedded_broker(self) -> bool:
        """Whether the broker is our own, on a private socket."""
        return not self.broker_url

    @property
    def broker_options(self) -> dict[str, str | float]:
        """What must be known of a broker that is a mere folder of messages (`filesystem:///path`)."""
        scheme, _, path = self.broker.partition("://")
        if scheme != "filesystem":
            return {}
        folders = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "queues"}
        return {"polling_interval": 0.1, **{option: f"{path}/{name}" for option, name in folders.items()}}

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's socket: in the data folder, or in a short one where that path is too long."""
        path = self.data_dir / "broker.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ridgeline-{digest}" / "broker.sock"
