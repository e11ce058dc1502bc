"""`python leash.py MODE PARENT COMMAND …`: runs a command that must not outlive whoever started it.

`tie` asks the Linux kernel to send SIGTERM when the parent dies, and becomes the command. `hold` does without
the kernel's help: it stays in between, with the reading end of a pipe whose writing end only the parent has;
the parent's death, however sudden, ends the file. Run as a file of its own, so that it starts fast.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def tie(parent: int, command: list[str]) -> NoReturn:
    """Become the command, unless the parent has died while this was getting ready."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the caller named it


def hold(command: list[str]) -> int:
    """Run the command, pass signals on, and stop it when standard input ends; its exit code is ours."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the caller named it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    threading.Thread(target=_stop_at_the_end_of_input, args=(child,), daemon=True).start()
    return child.wait()


def _stop_at_the_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    child.terminate()


def main(mode: str, parent: str, *command: str) -> int:
    """Tie or hold."""
    if mode == "tie":
        tie(int(parent), list(command))
    return hold(list(command))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
