"""`python -m cli.leash COMMAND …`: runs a command that must not outlive whoever started it.

Linux can ask the kernel for that (`cli.processes`); elsewhere this stands in between. It holds the reading
end of a pipe whose writing end only its parent has: the parent's death, however sudden, ends the file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run the command, pass signals on, and stop it when standard input ends; its exit code is ours."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the caller named it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    threading.Thread(target=_hold, args=(child,), daemon=True).start()
    return child.wait()


def _hold(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    child.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
