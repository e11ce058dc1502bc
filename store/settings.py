"""Every setting, from the environment with the prefix `RIDGELINE_`; each docstring is its documentation."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# A unix socket's path must fit into `sockaddr_un`: 108 bytes on Linux, 104 on macOS, with the closing NUL.
LONGEST_SOCKET_PATH = 103

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _processors() -> int:
    """The processors this process may use: in a container fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


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
    auth: Literal["off"] = "off"
    """Who may call: this version knows only `off`, so listen on loopback or behind a proxy that checks."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much API and workers log."""

    concurrency: Positive = Field(default_factory=lambda: min(_processors(), 8))
    """Worker processes on this machine, each training a job at a time; default: the processors, at most 8."""
    threads: Positive = 1
    """Threads of each training process; processes × threads should not exceed the processors."""
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
    """Reserved for resuming: this version keeps no checkpoints, and a lost job starts over."""
    checkpoint_epochs: Positive = 50
    """Reserved for resuming, as above."""
    drain_seconds: Seconds = 30
    """How long processes may take to stop when asked to."""
    idempotency_hours: Seconds = 24
    """How long the answer to an `Idempotency-Key` is kept."""

    max_body_bytes: Positive = 1024**2
    """Largest body of a request that is not an upload."""
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
    max_memory_bytes: Positive = 8 * 1024**3
    """Most memory a job may be estimated to need."""
    max_operations: Annotated[float, Field(ge=1)] = 1e17
    """Most floating-point operations a job may be estimated to need."""
    max_points: Positive = 10_000
    """Most points of a curve that one answer carries."""

    def environment(self) -> dict[str, str]:
        """The environment for a child process that is to have these very settings."""
        chosen = {f"RIDGELINE_{name.upper()}": str(value) for name, value in self}
        return {**os.environ, **chosen}

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
