"""Whether this process can still open what a job needs: else it would claim one after another in vain."""

from __future__ import annotations

import errno
import os
from typing import Final

import structlog

from worker.fitness import UnfitError

NEEDED: Final = 32
"""A job holds six more than its process does before; in an object store, a dozen."""

log = structlog.get_logger(__name__)


class OpenFiles:
    """Looks before each claim, and complains of the machine once."""

    def __init__(self) -> None:
        self._complained = False

    def suffice(self) -> bool:
        """False while the machine has none left, which another process could not better.

        Raises `UnfitError` where it is this process that has used up its own: a fresh one has not.
        """
        held: list[int] = []
        try:
            held.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(NEEDED))
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise UnfitError(f"it cannot open {NEEDED} files more, and a job might need them") from error
            if error.errno != errno.ENFILE:
                raise
            self._complain(error)
            return False
        finally:
            for number in held:
                os.close(number)
        self._complained = False
        return True

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            log.error("no job is claimed while this machine can open no more files", error=str(error))
        self._complained = True
