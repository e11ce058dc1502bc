"""What a command's exit code says."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """0 is success; each other number is one kind of failure."""

    OK = 0
    FAILED = 1
    """The job failed, or the server did not start."""
    USAGE = 2
    """The command was not understood."""
    CANCELLED = 3
    """The job was cancelled."""
    REFUSED = 4
    """The server refused the request."""
    UNREACHABLE = 5
    """The server did not answer."""
    INTERRUPTED = 130
    """Ctrl-C."""

    @classmethod
    def of(cls, status: str) -> Exit:
        """The code for a job that was followed to its end."""
        return {"succeeded": cls.OK, "cancelled": cls.CANCELLED}.get(status, cls.FAILED)
